"""What the companions noisify and nonBragg compute, number for number; the models to use are those of the room around it."""
