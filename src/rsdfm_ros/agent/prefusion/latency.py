"""Latency compensation: older maps are shifted to the ego's time by the boxes that were sent with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.prefusion.warp import compensate_motion
from rsdfm_ros.geometry.lattice import Window

MOVING_SCORE = 0.3
"""Boxes below this score do not move features."""
MOST_MOVING = 64
"""Boxes of one agent that move features, best first: a bound on the processing time of a message."""


def compensate_latency(view: View, window: Window) -> View:
    """The view with moving boxes and the features under them shifted to the ego's time; the age stays, because old
    features remain less certain."""
    boxes = view.boxes
    if boxes is None or view.age_s <= 0:
        return view
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * view.age_s
    best = np.argsort(-boxes.scores, kind="stable")[:MOST_MOVING]
    sure = best[boxes.scores[best] >= MOVING_SCORE]
    bev = compensate_motion(
        view.bev,
        window,
        boxes.centres[sure],
        boxes.sizes[sure],
        boxes.yaws[sure],
        boxes.velocities[sure],
        view.age_s,
    )
    came = None if bev is view.bev else view.bev
    return replace(view, bev=bev, boxes=replace(boxes, centres=centres), came=came)
