"""From the crystal of an experiment to the Scene: domains, blocks, displacements, unlike cells, several lattices."""
