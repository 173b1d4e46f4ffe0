"""Commands that start processes: demo, fleet, replay, bag, gazebo; and wire and security, which start none.

Start with `running`, which the commands that fly a mission share. Each other module has `add_arguments` and `run` of
one command; `bag_export` and `bag_record` are parts of `bag`.
"""
