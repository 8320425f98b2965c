"""Data sets as they are used: frames and truth by name, for torch, checked."""
