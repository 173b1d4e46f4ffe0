"""Speed on this machine: one UAV-frame and its stages, over peers and regions, a whole fleet's frame.

`rsdfm bench` shows it, `python -m benchmarks` and `make bench` use it.
"""
