"""Frames, the nuScenes-schema reader and writer."""
