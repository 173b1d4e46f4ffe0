"""Benchmarks: `make bench`. Every figure is a ratio within one run, because machines are noisy."""
