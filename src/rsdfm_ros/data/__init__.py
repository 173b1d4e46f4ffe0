"""Recorded and simulated missions as arrays, without ROS and without torch.

Start with `frame` (the images and objects of one instant) and `outputs` (what tasks answer). `nuscenes` reads and
writes data sets, `bags` reads and writes recordings, `messages` turns ROS messages into arrays.
"""
