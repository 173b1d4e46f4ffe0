"""Cameras of the simulated world: rendering, weather, blur, noise, and the exact truth in images.

Start with `image`, which makes a camera image from a rendered one by `weather` and `sensor`. `renderer` has images and
depth from MuJoCo, `truth` the boxes in them.
"""
