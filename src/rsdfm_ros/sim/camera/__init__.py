"""Cameras of the simulated world: rendering, weather, blur, noise, and the exact truth in images."""
