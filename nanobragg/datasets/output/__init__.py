"""The files of a data set: shards of images with their truth, the master file, the state of a run."""
