"""Metrics, protocol, methods and reports."""
