"""The nodes of one UAV: encoder, collaboration, task heads, and all of them in one process.

Start with `uav_node`, which composes them, and `pipeline_node`, their base class. These modules connect topics and
parameters with `rsdfm_ros.agent`, which has the algorithms and is free of ROS.
"""
