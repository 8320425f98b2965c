"""Looking inside: what was decided, which quirks act, where two images or two engines differ."""
