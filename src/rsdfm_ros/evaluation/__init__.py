"""Measures collaboration: methods run over scenes, recorded bags or a live mission, scored with the same metrics.

Start at `session.evaluate_scenes`, which runs the `methods/` (collaboration between UAVs) over the `scenes` and
collects the `scores` that `metrics/` define; `protocol` fixes what is scored. `bags/` evaluates recorded flights and
`mission` a fleet that flies now; `report/` shows results; `commands/` holds the options of `rsdfm evaluate` and `rsdfm
report`.
"""
