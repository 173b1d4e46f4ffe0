"""Satellite fixes in bags."""
