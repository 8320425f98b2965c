"""What a refinement gives, and its report."""
