"""A fleet description: its classes, how it is read from YAML, and the options that change it.

Start with `fleet.FleetDescription`, which is made of the classes in `parts`; `reading.load_fleet` reads one.
docs/fleet.md is generated from these classes.
"""
