"""Settings of a run of methods, and the protocol that is written beside its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.protocol import Protocol
from rsdfm_ros.evaluation.scenes import DatasetScene, refuse_training_data, seeds_of, simulated_as
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.record import changes


@dataclass(frozen=True)
class Settings:
    """Settings of a run beside the data."""

    methods: tuple[str, ...]
    egos: int
    budget_bytes: int
    thresholds: Thresholds
    disturbance: Disturbance
    areas: dict[str, Window]
    max_packet_bytes: int = DEFAULTS.max_packet_bytes


def settings_of(protocol: Protocol, methods: tuple[str, ...]) -> Settings:
    """Settings of the session for a protocol."""
    thresholds = Thresholds(protocol.segmentation_threshold, protocol.detection_threshold)
    return Settings(
        methods,
        protocol.egos,
        protocol.budget_bytes,
        thresholds,
        protocol.disturbance,
        protocol.areas,
        protocol.max_packet_bytes,
    )


def protocol_of(
    perception: Perception,
    scenes: Sequence[DatasetScene],
    *,
    model: str,
    source: str,
    uavs: int,
    egos: int | None,
    budget_bytes: int,
    disturbance: Disturbance,
    max_packet_bytes: int = DEFAULTS.max_packet_bytes,
) -> Protocol:
    """The protocol of methods on scenes. model: as the user names it · source: of the scenes · egos: all UAVs if None.

    Raises: LeakageError if the model was trained on one of the scenes.
    """
    seeds = seeds_of(scenes)
    refuse_training_data(perception.manifest, seeds)
    thresholds = Thresholds.of(perception)
    infos = [s.dataset.scenes[s.place] for s in scenes]
    return Protocol(
        model=model,
        model_fingerprint=f"{perception.fingerprint:016x}",
        data=source,
        scenes=tuple(info.name for info in infos),
        seeds=seeds,
        uavs=uavs,
        egos=uavs if egos is None else min(egos, uavs),
        frames_per_scene=tuple(s.frames for s in scenes),
        budget_bytes=budget_bytes,
        max_packet_bytes=max_packet_bytes,
        segmentation_threshold=thresholds.segmentation,
        detection_threshold=thresholds.detection,
        disturbance=disturbance,
        world=changes(simulated_as(scenes[0].dataset.path)),
        cell_size_m=perception.output_window.cell_size,
        styles=tuple(info.style for info in infos),
        weathers=tuple(info.weather for info in infos),
        terrains=tuple(info.terrain for info in infos),
        engine=perception.runtime.engine,
    )
