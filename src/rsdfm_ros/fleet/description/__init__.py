"""A fleet description: its classes, how it is read from YAML, and the options that change it."""
