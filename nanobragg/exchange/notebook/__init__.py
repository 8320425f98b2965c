"""What notebooks show of experiments and images."""
