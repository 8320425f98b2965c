"""Geometry files (``.geom``) and streams of CrystFEL."""
