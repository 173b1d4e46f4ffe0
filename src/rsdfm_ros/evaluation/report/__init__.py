"""Presentation of results: progress bars, tables, plots, images, the report page and the video.

Start at `make.make_report` for the page of a recorded run, `table.print_table` for the table of methods.
"""
