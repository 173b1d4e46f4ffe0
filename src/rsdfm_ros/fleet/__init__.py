"""Fleets: a fleet description becomes processes."""
