"""Arrays to ROS messages."""
