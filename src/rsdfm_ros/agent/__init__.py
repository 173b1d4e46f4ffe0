"""One UAV without ROS: sender, inbox of its peers' packets, fusion of their maps, and answers of the tasks."""
