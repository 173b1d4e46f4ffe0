"""Steps before maps are fused: latency compensation, pose alignment, consistency check.

`prepare.prepare` takes them in this order; `views.View` is a map with what is known of it; `warp` moves maps.
"""
