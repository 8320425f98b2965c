"""What several words share: options, exit status, the shape of raw images, runs of the original program."""
