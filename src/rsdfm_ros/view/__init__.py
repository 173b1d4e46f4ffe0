"""Displays of flights: the rerun viewer, and layouts for RViz and Foxglove. Free of ROS.

Start with `command` (`rsdfm view`), `viewer` (opens a viewer or a file) and `scene` (what is drawn of every instant).
"""
