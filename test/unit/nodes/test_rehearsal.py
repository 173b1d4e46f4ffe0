"""A shipped model has answered once before the first image comes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rsdfm_ros.model.perception import Perception
from rsdfm_ros.nodes.uav.model import SharedModel, Source

STEPS = ("perceive", "fuse", "detect", "segment", "predict")


def test_a_loaded_model_has_run_every_step(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: Counter[str] = Counter()
    for step in STEPS:
        whole = getattr(Perception, step)

        def noted(*given: Any, step: str = step, whole: Any = whole, **more: Any) -> Any:
            ran[step] += 1
            return whole(*given, **more)

        monkeypatch.setattr(Perception, step, noted)
    shared = SharedModel(lambda: Source(str(root / "models" / "nano"), 1, "torch"))
    model = shared.acquire()
    assert set(ran) == set(STEPS)
    assert shared.acquire() is model and ran["perceive"] == 1
    shared.release()
    shared.release()
