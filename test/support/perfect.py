"""Predictions that equal the truth."""

from __future__ import annotations

import numpy as np

from rsdfm_ros.data.outputs import Tracks, boxes_of_objects
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth


def perfect_prediction(truth: FrameTruth) -> FramePrediction:
    """The prediction that equals the truth (tracks only of objects that stay in the world)."""
    stays = np.isfinite(truth.positions).all(axis=(1, 2))
    tracks = Tracks(truth.objects.ids[stays], truth.positions[stays], np.ones(int(stays.sum())))
    return FramePrediction(truth.window, truth.ids[0] > 0, truth.ids, boxes_of_objects(truth.objects), tracks)
