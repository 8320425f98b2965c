"""Experiment lists of DIALS (``.expt``)."""
