"""Recorded flights: rosbag2 bags (MCAP and sqlite3) read, repaired where they are damaged, and written. Free of ROS."""
