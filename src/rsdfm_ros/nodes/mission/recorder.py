"""Writes the files of an evaluated mission: arrays per frame, status lines and results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdfm_ros.evaluation.mission import Instant
from rsdfm_ros.outputs import write_atomically

JPEG_QUALITY = 90


class FolderWriter:
    """Everything else below one folder."""

    def __init__(self, folder: Path, *, frames: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._status = (folder / "status.jsonl").open("w", buffering=1)
        self._frames = folder / "frames" if frames else None
        if self._frames is not None:
            self._frames.mkdir(exist_ok=True)

    def status(self, line: dict[str, Any]) -> None:
        """Append a line of live status."""
        self._status.write(json.dumps(line) + "\n")

    def frame(self, instant: Instant, true_ids: np.ndarray) -> None:
        """Write <folder>/frames/<frame>.npz: true_ids (ni, nj) int32, and per UAV and variant (`uav1/collaborative/…`)
        ids (ni, nj) uint16, percent (ni, nj) uint8, boxes (N, 11) as class, score, centre, size, yaw, velocity;
        `uav1/image` JPEG bytes, `uav1/pose` (4, 4)."""
        if self._frames is None:
            return
        arrays: dict[str, Any] = {
            "frame": instant.frame,
            "stamp_ns": instant.stamp_ns,
            "agents": np.array(instant.agents),
            "true_ids": true_ids,
        }
        for (agent, variant), answer in instant.answers.items():
            if answer.mask is not None:
                arrays[f"{agent}/{variant}/ids"] = answer.mask.astype(np.uint16)
            if answer.percent is not None:
                arrays[f"{agent}/{variant}/percent"] = answer.percent
            if answer.boxes is not None:
                b = answer.boxes
                columns = [b.classes, b.scores, *b.centres.T, *b.sizes.T, b.yaws, *b.velocities.T]
                arrays[f"{agent}/{variant}/boxes"] = np.stack(columns, axis=1)
            if answer.tracks is not None:
                arrays[f"{agent}/{variant}/tracks"] = answer.tracks.positions
        for agent, image in instant.images.items():
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            arrays[f"{agent}/image"] = cv2.imencode(".jpg", image[..., ::-1], quality)[1].ravel()
        for agent, pose in instant.poses.items():
            arrays[f"{agent}/pose"] = pose
        np.savez_compressed(self._frames / f"{instant.frame:06d}.npz", **arrays)

    def result(self, result: dict[str, Any]) -> None:
        """Write result.json, whole or not at all."""
        write_atomically(self.folder / "result.json", json.dumps(result, indent=2) + "\n")

    def void(self, reason: str) -> None:
        """Write void.json instead: why there is no result."""
        (self.folder / "void.json").write_text(json.dumps({"reason": reason}) + "\n")

    def close(self) -> None:
        """End the status lines."""
        self._status.close()
