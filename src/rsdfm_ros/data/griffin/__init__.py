"""Griffin as published: one UAV and one car per scene, each with a folder of images, poses, labels and calibration.

Start with :func:`rsdfm_ros.data.opening.open_dataset`, which recognises the layout.
"""
