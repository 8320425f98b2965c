"""What surrounds the spots: amorphous background, and the detector's readout."""
