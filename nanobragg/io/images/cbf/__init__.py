"""CBF images."""
