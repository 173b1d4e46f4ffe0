"""The nodes of a mission: simulator, replay, Gazebo, evaluator, recorder, viewer."""
