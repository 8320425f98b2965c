"""A measured image beside the simulated one, and the refinement against it."""
