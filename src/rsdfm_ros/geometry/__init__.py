"""Cameras, the ground prior, the world lattice and boxes: pure NumPy and torch."""
