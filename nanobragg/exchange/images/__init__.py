"""Image files of an experiment: its geometry and its record go with the pixels."""
