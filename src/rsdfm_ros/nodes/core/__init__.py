"""Shared by all nodes: lifecycle, parameters, entities, quality of service, diagnostics, the process."""
