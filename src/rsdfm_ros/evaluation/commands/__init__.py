"""Options, checks and output of `rsdfm evaluate` (with --sweep, --mapping, --calibrate) and `rsdfm report`.

A command module parses and prints; what it computes stands in the packages beside this one.
"""
