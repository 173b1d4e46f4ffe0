"""A tiny scene of painted images, an untrained model on a small map, and a runner of methods over them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.scores import MethodScore
from rsdfm_ros.evaluation.session import evaluate_scene
from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.perception import Perception

AREAS = {"long": square_window(16.0, 0.5), "short": square_window(8.0, 0.5)}
UAVS = 3
NONE = Disturbance()
FEATURES = tuple(name for name in METHODS if name not in ("single", "late"))


def objects_at(k: int) -> Objects:
    start = np.array([[-8.0, -8.0], [0.0, 6.0], [9.0, -3.0]])
    velocity = np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    return Objects(
        ids=np.array([1, 2, 3]),
        classes=np.array([0, 1, 0]),
        centres=np.column_stack([start + 0.5 * k * velocity, np.full(3, 0.8)]),
        sizes=np.tile([4.5, 1.9, 1.6], (3, 1)),
        yaws=np.array([0.0, -np.pi / 2, 1.0]),
        velocities=velocity,
        visibility=np.eye(3),
    )


class PaintedScene:
    """Views that look straight down from 30 m at coloured noise, shifted against each other."""

    number = 7
    frames = 8

    def ground(self) -> Ground | None:
        return None

    def load(self, k: int, shift: int = 0) -> WorldFrame:
        K = np.array([[44.0, 0.0, 32.0], [0.0, 44.0, 32.0], [0.0, 0.0, 1.0]])
        views = []
        for a in range(UAVS):
            image = np.random.default_rng([k, a]).integers(0, 255, (64, 64, 3)).astype(np.uint8)
            image = np.roll(image, shift, axis=0)
            T = np.eye(4)
            T[:3, :3] = np.diag([1.0, -1.0, -1.0])
            T[:3, 3] = [4.0 * a - 4.0, 3.0 * a, 30.0]
            views.append(CameraView(f"uav{a + 1}", image, K, T))
        return WorldFrame(k, k * 500_000_000, tuple(views), objects_at(k))

    def objects(self, k: int) -> Objects:
        return objects_at(k)

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        return self.load(k, shift=round(10 * lead_s)) if k else None


def tiny_perception() -> Perception:
    """An untrained model on 32 × 32 cells."""
    config = ModelConfig(
        name="tiny",
        image_height=64,
        image_width=64,
        heights_m=(0.0, 1.5),
        window_tiles=(-1, -1, 2, 2),
        channels=8,
        encoder_widths=(8, 8, 8, 8),
        low_channels=4,
        high_channels=4,
        quantisation_levels=127,  # latents that differ, also where they are rounded to coarser steps
        pyramid_channels=8,
        neck_widths=(8, 8, 8),
        memory_channels=4,
        motion_channels=8,
        task_channels=8,
        fine_channels=4,
    )
    perception = Perception.random(config, seed=9)  # small untrained nets may be dead to age: this one is not
    return perception.with_thresholds(
        {"map_consistency": -1.0}
    )  # painted images do not show one and the same place


def run_settings(disturbance: Disturbance = NONE, methods: tuple[str, ...] = tuple(METHODS)) -> Settings:
    return Settings(methods, UAVS, 1_500, Thresholds(0.3, 0.1), disturbance, AREAS)


class Watcher:
    """Collects the answers by method, ego and frame."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int, int], np.ndarray] = {}
        self.boxes: dict[tuple[str, int, int], Boxes] = {}

    def __call__(self, method, ego, frame, prediction, truth) -> None:  # type: ignore[no-untyped-def]
        probability = prediction.probability
        self.answers[method, ego, frame] = prediction.foreground if probability is None else probability
        self.boxes[method, ego, frame] = prediction.boxes


def run_scene(
    perception: Perception, disturbance: Disturbance = NONE
) -> tuple[dict[str, MethodScore], Watcher]:
    watcher = Watcher()
    with ThreadPoolExecutor(2) as pool:
        scores = evaluate_scene(perception, PaintedScene(), run_settings(disturbance), pool, watch=watcher)
    return scores, watcher
