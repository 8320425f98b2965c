"""From a start to parameters with errors: the places of spots, then pixels."""
