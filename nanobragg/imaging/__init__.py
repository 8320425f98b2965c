"""What comes after the photons: counting noise and counts."""
