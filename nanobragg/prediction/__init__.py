"""Which reflections an image holds: the table, its files, its masks."""
