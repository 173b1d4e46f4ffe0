"""The nodes of a mission: simulator, replay, Gazebo, evaluator, recorder.

Start with `sim_node`, which drives `/clock` and publishes cameras, poses and truth, and `evaluator_node`, which scores
the answers. `lockstep` makes the simulator and the replay wait for the UAVs.
"""
