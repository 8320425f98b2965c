"""How config objects show themselves: help, signature and repr from the metadata of their fields."""
