"""`rsdfm doctor`: the installation, and with --live a fleet that runs."""
