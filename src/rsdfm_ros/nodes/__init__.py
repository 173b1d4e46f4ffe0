"""The ROS 2 nodes; nothing else imports rclpy. Importing any of them without ROS says what is missing."""

from rsdfm_ros.errors import require_ros

require_ros("a node of rsdfm_ros")
