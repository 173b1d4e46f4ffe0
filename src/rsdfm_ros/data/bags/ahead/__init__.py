"""Poses, transforms and camera_info of a bag before their time: for its images, and in a lockstep replay."""
