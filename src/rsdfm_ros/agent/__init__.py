"""One UAV without ROS: what it sends, what it keeps of its peers, how it fuses their maps, and what it answers."""
