"""The same scene for Gazebo: an SDF world, a UAV model, the bridge to ROS 2. Plain Python, needs neither.

Start with `write`, which writes all files of a scene; `world`, `uav` and `bridge` each make one kind of them. `motion`
and `gimbal` make vehicles and cameras follow the plan of the MuJoCo scene.
"""
