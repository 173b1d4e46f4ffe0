"""Task heads: each is a plug-in with a name, targets, a loss and a decoding.

Start with `registry` (the base class `Head` and `register_head`) and `lookup` (finds heads by name).
"""
