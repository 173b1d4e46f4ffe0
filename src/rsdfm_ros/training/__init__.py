"""Trains models: the trunk, heads that need a history, the compression, or one more head on a frozen trunk.

Start at `trainer.train`, which runs the `stages` one after another; `samples` and `features` are the inputs,
`objective`, `temporal` and `codec` the losses, `loop` the optimiser's loop with its checkpoints. `command` is
`rsdfm train`.
"""
