"""Arrays to ROS messages, and the messages of this package back to arrays.

Start with `features` (packets and fused maps) and `tasks` (task outputs and truth). Cameras, poses and other received
messages are read in `rsdfm_ros.data.messages`.
"""
