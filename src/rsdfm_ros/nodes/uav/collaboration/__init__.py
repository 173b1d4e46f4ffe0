"""Parts of collaboration_node: names of topics between UAVs, demands, outputs."""
