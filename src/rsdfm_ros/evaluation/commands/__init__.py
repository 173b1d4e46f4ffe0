"""`rsdfm evaluate` and `rsdfm report`: options, checks, output."""
