"""Geometry in NXmx files and in the master files of Eiger detectors."""
