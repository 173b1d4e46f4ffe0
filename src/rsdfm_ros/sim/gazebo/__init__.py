"""The same scene for Gazebo: an SDF world, a UAV model, the bridge to ROS 2. Plain Python, needs neither."""
