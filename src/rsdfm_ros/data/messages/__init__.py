"""ROS messages to arrays, without ROS: any object that has a message's fields, from rclpy or from a bag.

Start with `inputs` (the sensors of one UAV as views), `tasks` (detections, masks, trajectories and truth) and
`input_config` (where sensors come from). The other direction, arrays to messages, is in nodes/convert/.
"""
