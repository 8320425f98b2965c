"""From the spectrum of a beam to the wavelengths of its sources."""
