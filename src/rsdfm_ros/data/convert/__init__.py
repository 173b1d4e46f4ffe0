"""Converters of data sets whose layout cannot be read in place: `rsdfm data convert`.

Start with `command`. `unpickle` is a program of its own that nothing imports: `pickled` starts it.
"""
