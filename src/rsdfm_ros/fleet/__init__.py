"""Fleets: a fleet description becomes processes, or actions of a launch file.

Start with `mission.run_fleet`, which runs a described fleet from its first process to its result. `description` has
the description and `specification` the processes that it means; `security` has access rules; `commands` are `rsdfm
demo`, `fleet`, `replay`, `bag`, `gazebo`, `wire` and `security`.
"""
