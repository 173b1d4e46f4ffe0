"""The MuJoCo world: scene, traffic, flights, cameras and exact ground truth.

Start with `world.World`, which makes the frames of a mission, and `config.SimConfig`, which says what it is like.
`dataset` writes missions as data sets, `gazebo` the same world for Gazebo.
"""

import os

# MuJoCo reads this once, when it is first imported; off-screen rendering needs no display.
os.environ.setdefault("MUJOCO_GL", "egl")
