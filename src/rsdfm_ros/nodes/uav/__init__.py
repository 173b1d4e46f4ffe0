"""The nodes of one UAV: encoder, collaboration, task heads, and all of them in one process."""
