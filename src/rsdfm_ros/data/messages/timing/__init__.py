"""Times of images: which stamp an image has, and how far it is from that of the poses. Free of ROS.

`image_times` gives images their stamps, `flow` follows points from image to image, `offset` estimates the time by which
stamps of images and poses differ, `monitor` does so in flight.
"""
