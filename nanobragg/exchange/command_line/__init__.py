"""The original's command line, from the flags to the experiment that they mean."""
