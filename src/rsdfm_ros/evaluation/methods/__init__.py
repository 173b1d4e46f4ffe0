"""The collaboration methods that are compared. A method is one entry in METHODS.

All share encoder, mapping and heads, and but for the pooled ones the fusion; only the transmitted data differs. Start
at `base.Method` (what a method sends and how it answers); `frame_cache` and `evaluation_frame` hold what the UAVs of a
scene see, `radio` what reaches them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rsdfm_ros.evaluation.methods.alone import Late, Single
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.methods.base import Method
from rsdfm_ros.evaluation.methods.codec import HighOnly, LowOnly, Rsdfm, RsdfmOnDemand, RsdfmPlain
from rsdfm_ros.evaluation.methods.dense import Dense, DenseMax, DenseMean
from rsdfm_ros.evaluation.methods.selected import Dhd, Dhd25, Where2comm
from rsdfm_ros.model.perception import Perception


@dataclass(frozen=True)
class Entry:
    """A method in the table: how it is made, and a sentence on it."""

    make: Callable[[Perception, Thresholds, int, int], Method]
    summary: str


METHODS: dict[str, Entry] = {
    "single": Entry(Single, "every UAV alone"),
    "late": Entry(Late, "boxes are exchanged, aligned where poses are uncertain, merged and drawn"),
    "dense-mean": Entry(DenseMean, "whole feature maps, averaged"),
    "dense-max": Entry(DenseMax, "whole feature maps, the largest value of each channel"),
    "dense": Entry(Dense, "whole feature maps in half precision, fused by the interaction: the upper bound"),
    "where2comm": Entry(
        Where2comm, "cells where the sender's detector is surest, in 8 bits, within the byte budget"
    ),
    "dhd": Entry(Dhd, "the best cells by the learned score, in 8 bits, within the byte budget"),
    "dhd-25": Entry(Dhd25, "the best quarter of the cells by the learned score, in half precision"),
    "low-only": Entry(LowOnly, "the codec's low band alone"),
    "high-only": Entry(HighOnly, "the codec's high band alone, within the byte budget"),
    "rsdfm": Entry(
        Rsdfm, "both bands within the byte budget, poses aligned and latency compensated where needed"
    ),
    "rsdfm-plain": Entry(RsdfmPlain, "as rsdfm, but maps are fused without pre-fusion steps"),
    "rsdfm-ondemand": Entry(RsdfmOnDemand, "as rsdfm, cells that receivers are unsure of first"),
}

DEFAULT_METHODS = ("single", "late", "dense", "rsdfm")
"""Methods measured by default; the rest are ablations and other baselines."""
