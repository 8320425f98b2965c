"""Refinements as files: what is refined, against which images, and where the results go."""
