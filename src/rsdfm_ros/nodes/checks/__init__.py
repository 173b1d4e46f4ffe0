"""Short looks into a ROS domain for commands, each a process of its own: python -m rsdfm_ros.nodes.checks.<check>."""
