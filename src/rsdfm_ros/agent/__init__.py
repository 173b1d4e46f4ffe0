"""One UAV without ROS: the own map, packets for peers, the peers' packets, fusion, and answers of all tasks.

Start at `agent.Agent`, which owns all of it: observe camera views, send, receive, answer. Nodes, which may each be a
process of their own, use the parts: `encoder`, `sender`, `receiver` (with `inbox`, `envelope`, `peers`, `peer_wait`),
`decoding`, `prefusion/` and `fusion`, `tasks` (with `tracking`). `options` has every option and default.
"""
