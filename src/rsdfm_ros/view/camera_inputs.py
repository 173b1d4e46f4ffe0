"""The cameras of one UAV for a view: images, intrinsics and poses as they come in messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rsdfm_ros.data.bags.topic_map import TF
from rsdfm_ros.data.messages.geo.messages import origin_of
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.poses import GEO
from rsdfm_ros.view.sink import MissionSink

MAX_EARLY = 100
"""Transforms that wait for the first pose, which names the frame of everything."""


class CameraInputs:
    """The cameras of one UAV: images, intrinsics and poses matched as the encoder does it."""

    def __init__(self, config: InputConfig, scene: MissionSink, reject: Callable[[str, str], None]) -> None:
        self._config, self._scene, self._reject = config, scene, reject
        self._infos: dict[int, Any] = {}
        self._early: list[tuple[Any, bool]] = []
        self._inputs: Inputs | None = None
        if config.frame_id or config.pose_type in (TF, GEO):
            self._start(config.frame_id or "map")

    def _start(self, frame_id: str) -> Inputs:
        self._inputs = Inputs(replace(self._config, frame_id=frame_id), self._reject)
        for number, info in self._infos.items():
            self._inputs.add_info(number, info)
        for message, fixed in self._early:
            self._inputs.add_transforms(message, fixed=fixed)
        return self._inputs

    def info(self, number: int, message: Any) -> None:
        self._infos[number] = message
        if self._inputs is not None:
            self._show(self._inputs, self._inputs.add_info(number, message))

    def pose(self, message: Any) -> None:
        # A map without a frame takes the frame of the first pose.
        inputs = self._inputs or self._start(str(message.header.frame_id) or "map")
        self._show(inputs, inputs.add_pose(message))

    def attitude(self, message: Any) -> None:
        if self._inputs is not None:
            self._show(self._inputs, self._inputs.add_attitude(message))

    def geo_origin(self, message: Any) -> None:
        if self._inputs is not None and not self._config.geo_origin:
            self._show(self._inputs, self._inputs.set_geo_origin(origin_of(message)))

    def image(self, number: int, message: Any, arrived_s: float) -> None:
        if self._inputs is None:
            self._reject("no_pose", "images before the first pose")
            return
        self._show(self._inputs, self._inputs.add_image(number, message, arrived_s))

    def transforms(self, message: Any, *, fixed: bool) -> None:
        if self._inputs is None:
            self._early = [*self._early, (message, fixed)][-MAX_EARLY:]
        else:
            self._show(self._inputs, self._inputs.add_transforms(message, fixed=fixed))

    def _show(self, inputs: Inputs, matched: list[Matched]) -> None:
        for one in matched:
            for posed in one.images:
                for view in inputs.views(replace(one, images=(posed,))):
                    name = self._config.cameras[posed.image.camera]
                    self._scene.camera(self._config.agent, one.stamp_ns, view, name)
