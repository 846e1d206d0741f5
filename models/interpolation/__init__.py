"""A small flow network that makes the picture between two pictures."""
