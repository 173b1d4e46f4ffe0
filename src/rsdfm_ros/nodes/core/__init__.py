"""Shared by all nodes: lifecycle, parameters, entities, quality of service, diagnostics, the process.

Start with `base.RsdfmNode`, the base class of every node, and `runner`, which runs nodes in a process. `parameters` and
`live_settings` turn a settings dataclass into ROS parameters; `qos` and `topics` have the profile and the sentence of
every topic.
"""
