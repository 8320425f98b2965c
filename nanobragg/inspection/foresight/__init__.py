"""What can be told before a run, and at a glance at its image: values that are probably a mistake, time and memory."""
