"""Bags that are changed message by message, as other recorders and drivers would have written them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import CameraView

Change = Callable[[int, str, Any], tuple[int, Any] | None]


def changed_bag(bag: Path, folder: Path, change: Change) -> Path:
    """The bag with every message as `change` (log time in ns, topic, message) gives it back, None to leave it out."""
    store = typestore()
    records = []
    with open_bag(bag) as source:
        for m in source.messages():
            new = change(m.log_ns, m.topic, source.decode(m))
            if new is not None:
                raw = bytes(store.serialize_cdr(new[1], m.type_name))
                records.append((new[0], m.topic, m.type_name, raw))
    with BagWriter(folder) as writer:
        for log_ns, topic, kind, raw in sorted(records, key=lambda r: r[0]):
            writer.write(topic, kind, log_ns, raw)
    return folder


def with_type(bag: Path, folder: Path, topic: str, kind: str, fields: str, message: dict[str, Any]) -> Path:
    """The bag with messages of one content, of a type defined by `fields`, in place of those of a topic."""
    store = Typestore()
    types = get_types_from_msg(fields, kind)
    ours = typestore().fielddefs
    store.register({**types, **{n: ours[n] for n in ("std_msgs/msg/Header", "builtin_interfaces/msg/Time")}})
    content = store.types[kind](**message)
    with open_bag(bag) as source, BagWriter(folder) as writer:
        writer.add(topic, kind, store)
        for m in source.messages():
            other = m.topic == topic
            raw = bytes(store.serialize_cdr(content, kind)) if other else m.raw
            writer.write(topic if other else m.topic, kind if other else m.type_name, m.log_ns, raw)
    return folder


def read_views(bag: Path, topic_map: TopicMap) -> SimpleNamespace:
    """views: of every UAV in order · stamps of their images · rejects and reasons of the sensors."""
    views: dict[str, list[CameraView]] = {}
    stamps: dict[str, list[int]] = {}
    with open_bag(bag) as opened:
        sensors = Sensors(opened, topic_map)
        for instant in sensors.instants():
            for uav, matched in instant.images.items():
                views.setdefault(uav, []).extend(sensors.input_of(uav).views(matched))
                stamps.setdefault(uav, []).append(matched.stamp_ns)
    return SimpleNamespace(views=views, stamps=stamps, rejects=sensors.rejects, reasons=sensors.reasons)
