"""What a data set shall hold: the recipe, its file, its plain data."""
