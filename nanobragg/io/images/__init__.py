"""Image files: arrays of pixels and plain headers."""
