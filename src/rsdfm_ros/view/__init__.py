"""What people look at: layouts for RViz and Foxglove, and the rerun viewer. Free of ROS."""
