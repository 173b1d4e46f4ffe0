"""The time between images and poses of every camera of a bag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.data.messages.timing.monitor import OffsetMonitor
from rsdfm_ros.data.messages.timing.offset import TimeOffset
from rsdfm_ros.errors import RsdfmError

RELIABLE_SIGMA_S = 0.01
"""With a larger standard deviation an estimate is not worth using."""


@dataclass(frozen=True)
class CameraTime:
    """found: None where nothing could be estimated, for the reason `problem` · configured_s: the offset that the images
    had already, by the topic map."""

    uav: str
    camera: str
    configured_s: float
    found: TimeOffset | None
    problem: str = ""

    @property
    def image_time_offset_s(self) -> float | None:
        """What the parameter should be; None where it is not known well enough."""
        if self.found is None or not self.found.sigma_s <= RELIABLE_SIGMA_S:
            return None
        return self.configured_s + self.found.offset_s


def camera_times(
    bag: Bag, topic_map: TopicMap, on_images: Callable[[int], None] = lambda number: None
) -> tuple[list[CameraTime], Sensors]:
    """The times of all cameras, and what was read and left out. on_images: told how many images were read."""
    sensors = Sensors(bag, topic_map)
    if not sensors.uavs:
        raise RsdfmError(
            f"the map {topic_map.name!r} finds no UAV with images in {bag.path}: write one (docs/bags.md)"
        )
    monitors: dict[tuple[str, int], OffsetMonitor] = {}
    read = 0
    for instant in sensors.instants():
        for uav, matched in instant.images.items():
            inputs = sensors.input_of(uav)
            for posed in matched.images:
                key = uav, posed.image.camera
                if key not in monitors:
                    monitors[key] = OffsetMonitor(partial(inputs.camera_pose, posed.image))
                for view in inputs.views(replace(matched, images=(posed,))):
                    monitors[key].add(posed.image.stamp_ns, view.image, view.K)
                monitors[key].sample()
                read += 1
        on_images(read)
    for monitor in monitors.values():
        monitor.sample()
    times = []
    for uav in sensors.uavs:
        config = sensors.input_of(uav).config
        for number, camera in enumerate(config.cameras):
            given = config.image_time_offset_s[number] if config.image_time_offset_s else 0.0
            times.append(_estimated(uav, camera, given, monitors.get((uav, number)), topic_map))
    return times, sensors


def _estimated(
    uav: str, camera: str, configured_s: float, monitor: OffsetMonitor | None, topic_map: TopicMap
) -> CameraTime:
    if monitor is None:
        return CameraTime(uav, camera, configured_s, None, "no image with a pose")
    try:
        found = monitor.estimate(topic_map.ground_height_m)
    except RsdfmError as error:
        return CameraTime(uav, camera, configured_s, None, str(error))
    problem = ""
    if not found.sigma_s <= RELIABLE_SIGMA_S:
        problem = "the motion changes too little to tell it: fly turns, stops and starts over textured ground"
    return CameraTime(uav, camera, configured_s, found, problem)


def times_as_dict(times: list[CameraTime]) -> Mapping[str, object]:
    """For --json: by UAV and camera."""
    out: dict[str, dict[str, object]] = {}
    for time in times:
        entry: dict[str, object] = {
            "configured_s": time.configured_s,
            "image_time_offset_s": time.image_time_offset_s,
            "problem": time.problem,
        }
        if (found := time.found) is not None:
            entry |= {
                "offset_s": found.offset_s,
                "sigma_s": found.sigma_s if found.sigma_s < float("inf") else None,
                "pairs": found.pairs,
                "residual_px": found.residual_px,
                "residual_before_px": found.before_px,
            }
        out.setdefault(time.uav, {})[time.camera] = entry
    return out
