"""Poses from satellite fixes, and the time of images against that of poses."""
