"""Nodes that speak the messages of other systems: ETSI's collective perception.

They run beside a UAV's own nodes and are needed only where such a system takes part.
"""
