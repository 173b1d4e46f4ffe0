"""Answers of UAVs as messages other than those of the tasks: read without message objects, status, and as CPM."""
