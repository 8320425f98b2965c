"""Lists of reflections and models: structure factors as plain arrays."""
