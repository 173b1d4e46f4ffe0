"""A fleet that is disturbed for long, and lifecycle rounds of every node."""
