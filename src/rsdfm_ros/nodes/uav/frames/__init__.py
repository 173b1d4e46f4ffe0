"""TF of a UAV: the window that it answers on, its cameras and its body."""
