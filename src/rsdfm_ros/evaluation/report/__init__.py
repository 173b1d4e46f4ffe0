"""What people see of results: tables, plots, images, the report page and the video."""
