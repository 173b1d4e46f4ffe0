"""`make bench-accuracy`: every table and figure of docs/benchmarks.md, from seeds."""
