"""From images and a rough experiment to parameters with errors."""
