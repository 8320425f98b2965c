"""What is refined: from paths to the variables of a solver, and from variables to experiments."""
