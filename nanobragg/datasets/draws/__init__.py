"""What varies: distributions by path, and the experiment of a frame. Frame k depends on (seed, k) alone."""
