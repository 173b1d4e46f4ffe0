"""What happens to maps before they are fused: latency compensation, pose alignment, consistency check."""
