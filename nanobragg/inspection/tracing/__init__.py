"""The quantities on the way to one pixel: traced, printed, and compared between engines."""
