"""ROS messages to arrays, without ROS: any object that has a message's fields, from rclpy or from a bag."""
