"""`nanoBragg dataset` and what it shows."""
