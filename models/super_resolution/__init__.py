"""Patch-based super-resolution: a network that doubles a picture, guided by the pivot's own larger pixels."""
