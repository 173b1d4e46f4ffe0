"""Metrics: detection, segmentation, trajectories, ids over time, mapping; accumulated frame by frame."""
