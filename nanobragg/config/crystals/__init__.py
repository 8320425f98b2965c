"""What makes a real crystal: mosaicity, blocks, displacements and damage, unlike cells."""
