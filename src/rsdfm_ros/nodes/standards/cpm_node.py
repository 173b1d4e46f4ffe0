"""cpm_node: exchange of detections with cars and roadside units, as ETSI Collective Perception Messages.

Every message of detections goes out as a CPM (etsi_its_cpm_ts_msgs) on `cpm`. CPMs of other stations come in on the
topics of `stations`; their vehicles are late-fusion peers: boxes of the UAV and of all stations heard within
`max_age_s` are merged, one per vehicle, and published on `late/detections`. The UAV's own outputs stay as they are.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from rsdfm_ros.data.messages.answers import cpm
from rsdfm_ros.data.messages.answers.writing import boxes_to_bytes
from rsdfm_ros.data.messages.geo.world import GeoOrigin, GeoWorld
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.data.messages.tasks import boxes_from_message
from rsdfm_ros.msg import ObjectArray
from rsdfm_ros.nodes.convert.cpm import cpm_from_boxes
from rsdfm_ros.nodes.convert.optional import AUTO, MissingPackage, optional_module
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.parameters import SettingError
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.core.settings import NodeSettings
from rsdfm_ros.nodes.standards.stations import Stations
from rsdfm_ros.settings import setting

PACKAGE = "etsi_its_cpm_ts_msgs"


@dataclass(frozen=True)
class CpmSettings(NodeSettings):
    """cpm_node: collective perception with cars and roadside units."""

    geo_origin: tuple[float, ...] = setting(
        (),
        "where x = y = z = 0 of the map is: latitude and longitude in degrees, height above the ellipsoid in m; it has "
        "to be given",
        length=(0, 3),
    )
    station_id: int = setting(1, "station id of the UAV's messages", low=0, high=2**32 - 1)
    stations: tuple[str, ...] = setting((), "topics on which CPMs of other stations come in")
    max_age_s: float = setting(
        1.0,
        "objects of stations that are older than that, or newer, are left out, s",
        low=0.0,
        high=10.0,
        dynamic=True,
    )


class CpmNode(RsdfmNode[CpmSettings]):
    """Sends and takes Collective Perception Messages."""

    def __init__(self, **options: Any) -> None:
        super().__init__("cpm_node", CpmSettings, **options)
        self._stations = Stations()
        self._msg: Any = None
        self._merge: Any = None

    def check(self, settings: CpmSettings) -> None:
        if settings.geo_origin and not (
            -90 <= settings.geo_origin[0] <= 90 and -180 < settings.geo_origin[1] <= 180
        ):
            raise SettingError(
                "geo_origin: expected latitude -90 to 90 and longitude -180 to 180 degrees, and metres"
            )

    def configure(self) -> None:
        from rsdfm_ros.evaluation.methods.late_fusion import (
            merge_boxes,  # imports torch: only when it is needed
        )

        if len(self.settings.geo_origin) != 3:
            raise SettingError("geo_origin: expected latitude, longitude and height of the origin of the map")
        self._msg, self._merge = optional_module(f"{PACKAGE}.msg", AUTO, "cpm_node"), merge_boxes
        if self._msg is None:
            raise MissingPackage(
                f"cpm_node needs the ROS package {PACKAGE}, which is not here: install it (apt install "
                f"ros-$ROS_DISTRO-{PACKAGE.replace('_', '-')}) and source the workspace"
            )
        self._world = GeoWorld(GeoOrigin(*self.settings.geo_origin))
        self._cpm = self.create_publisher(self._msg.CollectivePerceptionMessage, "cpm", qos.outputs())
        self._late = self.create_publisher(ObjectArray, "late/detections", qos.outputs())

    def cleanup(self) -> None:
        self._msg = None

    def activate(self) -> None:
        self.create_subscription(ObjectArray, "detections", self.on_detections, qos.outputs())
        self.expect("detections", "detections")
        for topic in self.settings.stations:
            self.create_subscription(
                self._msg.CollectivePerceptionMessage,
                topic,
                self.on_message,
                qos.sensor("best_effort", depth=20),
            )

    def deactivate(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._stations.clear()

    def on_message(self, message: Any) -> None:
        """Take a CPM of another station. Raises: MessageError."""
        objects = cpm.objects_from_message(message, self._world)
        for reason, count in objects.left_out.items():
            self.health.count(reason, count)
        if objects.station != self.settings.station_id and not self._stations.take(objects):
            self.health.count("cpm_not_newer")

    def on_detections(self, message: ObjectArray) -> None:
        """Send the detections of the UAV, and merge them with those of the stations. Raises: MessageError."""
        s = self.settings
        stamp_ns, boxes = checked_stamp_ns(message.header.stamp, "detections"), boxes_from_message(message)
        if has_subscribers(self._cpm):
            out = cpm_from_boxes(
                boxes, stamp_ns=stamp_ns, origin=s.geo_origin, station=s.station_id, msg=self._msg
            )
            self.send(self._cpm, out)
        if has_subscribers(self._late):
            merged, names = self._stations.merged(boxes, stamp_ns, s.max_age_s, self._merge)
            late = boxes_to_bytes(
                merged,
                agent=message.agent,
                frame=message.frame,
                ns=stamp_ns,
                frame_id=s.frame_id,
                contributors=[message.agent, *names],
            )
            self.send(self._late, late)


def main() -> int:
    """Run the node in a process of its own."""
    return run(lambda: [CpmNode()])


if __name__ == "__main__":
    sys.exit(main())
