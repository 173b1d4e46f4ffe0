"""Presentation of results: tables, plots, images, the report page and the video."""
