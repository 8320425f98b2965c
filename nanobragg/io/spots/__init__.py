"""Lists of spots and of predicted reflections: one file a format, columns in and out."""
