"""Commands that start processes: demo, fleet, replay, bag, gazebo."""
