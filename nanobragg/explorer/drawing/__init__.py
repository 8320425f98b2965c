"""The picture of an image: its shades, its places, the lines over it."""
