"""What can be calibrated from a recorded flight: times of images, mounting angles of cameras (`rsdfm calibrate`)."""
