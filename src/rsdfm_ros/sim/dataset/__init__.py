"""Simulated missions as data sets in the nuScenes schema.

Start with `simulate.simulate_dataset`; `simulate_command` and `layout_command` are `rsdfm simulate` and
`rsdfm data layout`, and `world_options` the options that describe a world.
"""
