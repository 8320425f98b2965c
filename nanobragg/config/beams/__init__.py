"""What the beam is made of: its spectrum."""
