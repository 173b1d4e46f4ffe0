"""Metrics: detection, segmentation, trajectories, ids over time, mapping, processing times.

Start at `accumulator.MetricAccumulator`, which scores predictions against the truth within one area, frame by frame,
and is used offline, for bags and in flight alike. Every module defines its figures in its docstring.
"""
