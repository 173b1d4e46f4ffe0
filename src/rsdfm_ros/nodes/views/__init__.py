"""Nodes that show a live fleet: with rerun (view_node) and in browsers (web_node)."""
