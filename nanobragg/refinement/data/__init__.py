"""The measured side: images as photons, shoeboxes, spots."""
