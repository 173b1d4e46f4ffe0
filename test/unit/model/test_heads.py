"""Heads: what the targets say must be what decoding finds; losses fall to their floor on perfect outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.rotations import wrap_angle
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.detection import MOVING_MPS, DetectionHead, yaw_of
from rsdfm_ros.model.heads.lookup import build_head
from rsdfm_ros.model.heads.registry import Truth, register_head
from rsdfm_ros.model.heads.segmentation import SegmentationHead
from rsdfm_ros.model.heads.trajectory import TrajectoryHead
from rsdfm_ros.model.neck import TaskFeatures
from support.traffic import moved, traffic

CONFIG = ModelConfig("test", window_tiles=(-2, -2, 4, 4))


def future(n: int = 6) -> Truth:
    now = traffic(n)
    return Truth(tuple(moved(now, 0.5 * k) for k in range(5)), np.ones(n, bool))


def as_batch(targets: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(np.ascontiguousarray(v))[None] for k, v in targets.items()}


def logits(mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0.5, 12.0, -12.0)


def test_perfect_detection_outputs_decode_to_the_objects() -> None:
    head = DetectionHead(CONFIG)
    truth = future()
    t = as_batch(head.targets(truth))
    outputs = {
        "heat": torch.logit(t["heat"].clamp(1e-4, 1 - 1e-4)),
        "box": t["box"],
        "velocity": t["velocity"],
    }
    found = head.decode(outputs, threshold=0.5)
    now = truth.objects[0]
    assert len(found) == len(now)
    order = [int(np.argmin(np.linalg.norm(found.centres[:, :2] - c[:2], axis=1))) for c in now.centres]
    found = found.select(np.array(order))
    assert np.array_equal(found.classes, now.classes)
    assert np.allclose(found.centres, now.centres, atol=1e-4)
    assert np.allclose(found.sizes, now.sizes, rtol=1e-4)
    assert np.allclose(np.cos(found.yaws - now.yaws), 1.0, atol=1e-5)
    assert np.allclose(found.velocities, now.velocities, atol=1e-4)
    losses = head.losses(outputs, t)
    assert (
        losses["box"] == 0 and losses["velocity"] == 0 and losses["heat"] < 0.1
    )  # Gaussian flanks never reach zero


def test_perfect_segmentation_outputs_decode_to_the_instances() -> None:
    head = SegmentationHead(CONFIG)
    truth = future()
    t = as_batch(head.targets(truth))
    outputs = {"logit": logits(t["mask"]), "offset": t["offset"]}
    found = head.decode(outputs)
    expected = rasterise(truth.objects[0], CONFIG.output_window)
    assert np.array_equal(found.ids > 0, expected > 0)
    pairs = {(int(a), int(b)) for a, b in zip(found.ids[expected > 0], expected[expected > 0], strict=True)}
    assert len(pairs) == len(truth.objects[0])
    assert len(found.centres) == len(truth.objects[0])
    losses = head.losses(outputs, t)
    assert losses["mask"] < 1e-3 and losses["iou"] < 1e-3 and losses["offset"] == 0


def test_following_perfect_flow_keeps_the_ids_of_moving_objects() -> None:
    segmentation, trajectory = SegmentationHead(CONFIG), TrajectoryHead(CONFIG)
    truth = future()
    s, t = as_batch(segmentation.targets(truth)), as_batch(trajectory.targets(truth))
    present = segmentation.decode({"logit": logits(s["mask"]), "offset": s["offset"]})
    outputs = {"logit": logits(t["mask"].float())} | {
        name: on_feature_lattice(t[name], t[f"{name}_mask"]) for name in ("flow", "shift")
    }
    prediction = trajectory.decode(outputs, present)
    window = CONFIG.output_window
    names = {}
    for k, objects in enumerate(truth.objects):
        expected = rasterise(objects, window)
        for n, identity in enumerate(objects.ids):
            cells = expected == identity
            if cells.sum() < 8:
                continue
            values, counts = np.unique(prediction.ids[k][cells], return_counts=True)
            assert counts.max() > 0.85 * cells.sum()  # an outline moves by whole cells
            ours = int(values[np.argmax(counts)])
            assert ours > 0 and names.setdefault(int(identity), ours) == ours
            if cells.sum() > 20:
                error = prediction.positions[ours - 1, k] - objects.centres[n, :2]
                assert np.linalg.norm(error) < 0.8
    losses = trajectory.losses(outputs, t)
    # Bilinear between whole cells: at most the cells between two objects that touch differ.
    assert losses["flow"] < 0.01 and losses["shift"] < 0.01


def test_objects_that_nobody_sees_do_not_train_the_heads() -> None:
    truth = dataclasses.replace(future(), seen=np.array([True] * 5 + [False]))
    hidden = rasterise(truth.objects[0], CONFIG.output_window) == truth.objects[0].ids[5]
    targets = SegmentationHead(CONFIG).targets(truth)
    assert (targets["weight"][0][hidden] == 0).all()
    assert (targets["weight"][0][~hidden] == 1).all()
    assert (DetectionHead(CONFIG).targets(truth)["heat"].max(axis=(1, 2)).sum()) > 0


def test_an_empty_scene_decodes_to_nothing() -> None:
    empty = traffic(0)
    truth = Truth((empty,) * 5, np.zeros(0, bool))
    segmentation, trajectory = SegmentationHead(CONFIG), TrajectoryHead(CONFIG)
    s, t = as_batch(segmentation.targets(truth)), as_batch(trajectory.targets(truth))
    present = segmentation.decode({"logit": logits(s["mask"]), "offset": s["offset"]})
    still = torch.zeros(1, 2 * CONFIG.horizon, *CONFIG.window.shape)
    prediction = trajectory.decode(
        {"logit": logits(t["mask"].float()), "flow": still, "shift": still}, present
    )
    assert present.ids.max() == 0 and len(prediction.tracks) == 0 and prediction.ids.max() == 0


def on_feature_lattice(motion: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Motion (1, 2n, 2h, 2w) of the cells of mask (1, n, 2h, 2w) on cells of twice the side, beyond them of the
    nearest one."""
    weight = mask.repeat_interleave(2, dim=1)
    total = F.avg_pool2d(weight, 2)
    coarse = F.avg_pool2d(motion * weight, 2) / total.clamp_min(0.01)
    for k in range(coarse.shape[1]):
        if total[0, k].any():
            i, j = distance_transform_edt(total[0, k] == 0, return_distances=False, return_indices=True)
            coarse[0, k] = coarse[0, k][torch.from_numpy(i), torch.from_numpy(j)]
    return coarse


@pytest.mark.parametrize("name", ["detection", "segmentation", "trajectory"])
def test_every_parameter_of_a_head_learns(name: str) -> None:
    torch.manual_seed(0)
    head = build_head(name, CONFIG)
    h, w = CONFIG.window.shape
    fine = torch.randn(2, CONFIG.fine_channels, 2 * h, 2 * w)
    outputs = head(
        TaskFeatures(
            torch.randn(2, CONFIG.task_channels, h, w),
            torch.randn(2, CONFIG.motion_channels, h // 2, w // 2),
            torch.randn(2, CONFIG.channels, h, w),
            torch.ones(2, 1, h, w, dtype=torch.bool),
            lambda cells: fine,
        )
    )
    targets = head.targets(future())
    batch = {k: torch.from_numpy(np.stack([v, v])) for k, v in targets.items()}
    sum(head.losses(outputs, batch).values()).backward()  # type: ignore[union-attr]
    missing = [n for n, p in head.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []


def test_an_unknown_head_is_refused_and_names_are_unique() -> None:
    with pytest.raises(RsdfmError, match="registered are detection"):
        build_head("depth", CONFIG)
    with pytest.raises(RsdfmError, match="two heads"):
        register_head("detection")(SegmentationHead)


def test_the_doubled_angle_gives_the_axis_and_the_single_one_the_front() -> None:
    rng = np.random.default_rng(0)
    yaws = np.concatenate([rng.uniform(-np.pi, np.pi, 500), [0.0, np.pi / 2, -np.pi / 2, -np.pi]])
    double = np.stack([np.sin(2 * yaws), np.cos(2 * yaws)]) * 0.3  # the length does not matter
    hint = yaws + rng.uniform(-1.4, 1.4, len(yaws))  # wrong by up to 80°, and short: still the right end
    single = 0.2 * np.stack([np.sin(hint), np.cos(hint)])
    still = np.zeros_like(single)
    error = wrap_angle(yaw_of(single, double, still) - yaws)
    np.testing.assert_allclose(error, 0.0, atol=1e-9)
    turned = wrap_angle(yaw_of(-single, double, still) - yaws)
    np.testing.assert_allclose(np.abs(turned), np.pi, atol=1e-9)


def test_a_vehicle_that_moves_heads_where_it_goes() -> None:
    yaws = np.linspace(-3.0, 3.0, 50)
    double = np.stack([np.sin(2 * yaws), np.cos(2 * yaws)])
    wrong = -np.stack([np.sin(yaws), np.cos(yaws)])
    along, across = np.stack([np.cos(yaws), np.sin(yaws)]), np.stack([-np.sin(yaws), np.cos(yaws)])
    np.testing.assert_allclose(wrap_angle(yaw_of(wrong, double, 2.0 * along + across) - yaws), 0.0, atol=1e-9)
    slow = 0.5 * MOVING_MPS * along + 5.0 * across  # along its axis it stands: appearance decides
    np.testing.assert_allclose(np.abs(wrap_angle(yaw_of(wrong, double, slow) - yaws)), np.pi, atol=1e-9)
