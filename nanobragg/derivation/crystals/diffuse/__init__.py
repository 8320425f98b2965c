"""Diffuse scattering: forms of the motions, orientations that stand for all, maps (docs/diffuse.md)."""
