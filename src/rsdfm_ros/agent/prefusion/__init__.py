"""Steps before maps are fused: latency compensation, pose alignment, consistency check."""
