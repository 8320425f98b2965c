"""Measured spectra."""
