"""Views for people: layouts for RViz and Foxglove, and the rerun viewer. Free of ROS."""
