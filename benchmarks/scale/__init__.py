"""Traffic of fleets against their size: `python -m benchmarks.scale`, `python -m benchmarks.scale.discovery`."""
