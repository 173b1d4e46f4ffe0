"""The MuJoCo world: scene, traffic, flights, cameras and exact ground truth."""
