"""Geometry in the headers of images: SMV of ADSC and d*TREK, miniCBF, imgCIF and NXmx."""
