"""Data sets: from one recipe to any number of images with their truth, on one machine or many."""
