"""The MuJoCo world: scene, traffic, flights, cameras and exact ground truth."""

import os

# MuJoCo reads this once, when it is first imported; off-screen rendering needs no display.
os.environ.setdefault("MUJOCO_GL", "egl")
