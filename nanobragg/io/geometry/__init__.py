"""Geometry in the files of other programs: DIALS, XDS, MOSFLM, CrystFEL and image headers.

Every reader makes a `geometry.Geometry`, every writer takes one; `geometry` alone knows the config objects.
"""
