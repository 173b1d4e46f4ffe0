"""Recorded flights: rosbag2 bags (MCAP and sqlite3) read, repaired where they are damaged, and written. Free of ROS.

Start with `bag.Bag` (open a recording), `topic_map` (which topic holds what), `sensors` (images with their poses) and
`writer.BagWriter`.
"""
