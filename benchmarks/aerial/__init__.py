"""Aerial images with poses and a surface model, and how well a model's heights agree with it.

Start with `folder` (what is read), then `measure` (figures) and `picture` (an image to look at); `opensfm` reads what
OpenDroneMap leaves behind.
"""
