"""Cameras, the ground, the world lattice, boxes and rigid transforms, in NumPy.

Start with `lattice` (the grid of cells that all maps share), `camera` (projection and viewing rays), `ground` (where
rays meet the ground) and `box_table` (tables of boxes). All other packages build on this one.
"""
