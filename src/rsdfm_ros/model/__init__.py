"""The RS-DFM network in PyTorch: encoder, mapping to the ground, compression, interaction, neck and heads.

Start with `perception.Perception`, which loads a model folder and runs every step from image to answer; `rsdfm` is the
network itself, `config` its sizes, `store` its files, and `heads` the tasks.
"""
