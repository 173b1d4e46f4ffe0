"""Attacks of peers, one file each: pure functions of what a UAV sees, its maps or its packets, and a seed.

`kinds.py` names them; methods/forger.py applies them to the methods that are compared. Those that need nothing but
packets stand in wire/faults/attack.py, because fault_injector_node makes them, too.
"""
