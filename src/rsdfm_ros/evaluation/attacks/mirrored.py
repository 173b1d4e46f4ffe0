"""Mirrored images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsdfm_ros.data.frame import WorldFrame


def mirrored(frame: WorldFrame) -> WorldFrame:
    """The frame with every image flipped left to right, but all poses as they are: well-formed but false data."""
    views = tuple(replace(v, image=np.ascontiguousarray(v.image[:, ::-1])) for v in frame.views)
    return replace(frame, views=views)
