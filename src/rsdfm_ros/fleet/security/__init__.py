"""Access control of a fleet: documents of DDS Security for SROS 2."""
