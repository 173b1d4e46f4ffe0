"""The mission in a browser: its instants (record.py), the page (page.py, static/) and the server (server.py)."""
