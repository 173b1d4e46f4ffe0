"""Feature packets and fused maps between arrays and messages."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message

from rsdfm_ros.agent.envelope import Envelope, Refused, envelope_of
from rsdfm_ros.agent.interest.demand import Demand, demand_of
from rsdfm_ros.agent.types import Fused, OwnFeatures
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.uncertainty import upper_triangle
from rsdfm_ros.msg import DemandMap, FeaturePacket, FusedBev
from rsdfm_ros.nodes.convert.sensors import fill_pose, time_of

MAX_MESSAGE_BYTES = 80_000
"""The largest payload, and room for the fields around it."""

MAX_DEMAND_BYTES = 5_000
"""A demand with values for as many tiles as there may be."""


def packet_to_message(
    payload: bytes,
    *,
    agent: str,
    frame: int,
    stamp_ns: int,
    frame_id: str,
    fingerprint: int,
    T_map_camera: NDArray[np.float64],
    covariance: NDArray[np.float64],
    index: int,
    count: int,
) -> FeaturePacket:
    """The message of packet `index` of `count` of an image."""
    message = FeaturePacket(agent=agent, frame=frame % 2**32, packet_index=index, packet_count=count)
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), frame_id
    message.fingerprint = fingerprint
    fill_pose(message.camera_pose, T_map_camera)
    message.covariance = upper_triangle(covariance)
    message.payload = array.array("B", payload)
    return message


def packet_message(raw: bytes, agent: str) -> FeaturePacket:
    """The FeaturePacket of serialised bytes on the topic of `agent`, unchecked. Raises: Refused."""
    return _message_of(raw, FeaturePacket, MAX_MESSAGE_BYTES, agent)


def packet_of(raw: bytes, agent: str, frame_id: str) -> tuple[Envelope, memoryview]:
    """Envelope and payload of a serialised FeaturePacket on the topic of `agent`. Raises: WireError."""
    message = packet_message(raw, agent)
    return envelope_of(message, topic_agent=agent, frame_id=frame_id), memoryview(message.payload)


def demand_to_message(
    demand: Demand, model: Any, own: OwnFeatures, *, agent: str, frame_id: str
) -> DemandMap:
    """The message of what a UAV with this own map wants."""
    message = DemandMap(agent=agent, frame=own.frame % 2**32, fingerprint=model.fingerprint)
    message.header.stamp, message.header.frame_id = time_of(own.stamp_ns), frame_id
    message.cell_size = model.region.cell_size
    message.tile_i0, message.tile_j0 = demand.corner
    message.tiles_i, message.tiles_j = demand.size
    if demand.values is not None:
        message.values = array.array("B", np.ascontiguousarray(demand.values).tobytes())
    return message


def demand_from_raw(raw: bytes, model: Any, *, agent: str, frame_id: str) -> Demand:
    """The demand of a serialised DemandMap on the topic of `agent`. Raises: WireError."""
    return demand_of(
        _message_of(raw, DemandMap, MAX_DEMAND_BYTES, agent),
        topic_agent=agent,
        frame_id=frame_id,
        cell_size=model.region.cell_size,
        fingerprint=model.fingerprint,
    )


def _message_of(raw: bytes, kind: Any, most_bytes: int, agent: str) -> Any:
    """The message of serialised bytes from the network. Raises: Refused."""
    if len(raw) > most_bytes:
        raise Refused("over_limit", f"a message of {len(raw)} bytes from {agent}")
    try:
        return deserialize_message(raw, kind)
    except Exception as error:  # rclpy raises whatever its type support does
        raise Refused("not_cdr", f"{len(raw)} bytes from {agent} are no {kind.__name__}: {error}") from error


def fused_to_message(fused: Fused, model: Any, *, agent: str, frame_id: str) -> FusedBev:
    """The collaborative map with int8 features, on the region of interest.

    model: the Perception on the region of the map.
    """
    window = model.region
    data, scale = model.quantise_fused(fused.collaborative)
    message = FusedBev(agent=agent, frame=fused.frame % 2**32, fingerprint=model.trunk_fingerprint)
    message.header.stamp, message.header.frame_id = time_of(fused.stamp_ns), frame_id
    message.i0, message.j0, message.ni, message.nj = window.i0, window.j0, window.ni, window.nj
    message.cell_size, message.channels = window.cell_size, len(scale)
    message.contributors, message.ages_s = list(fused.contributors), list(fused.ages_s)
    message.scale = [float(s) for s in scale]
    message.data = array.array("B", np.ascontiguousarray(data).tobytes())
    visible = fused.collaborative.visible.cpu().numpy()[model.window.crop(window)]
    message.visibility = array.array("B", np.packbits(visible).tobytes())
    return message


def fused_from_message(message: FusedBev, model: Any, *, frame_id: str, arrived_s: float) -> Fused:
    """The inverse of fused_to_message, on the region of the message. Raises: MessageError unless everything
    fits our model."""
    if message.fingerprint != model.trunk_fingerprint:
        raise MessageError("fingerprint_mismatch", "the fused map comes from another model")
    if message.header.frame_id != frame_id:
        raise MessageError("frame_id", f"expected frame {frame_id!r}, got {message.header.frame_id!r}")
    try:
        window = Window(message.i0, message.j0, message.ni, message.nj, message.cell_size)
        model = model.at(window)
    except (ValueError, RsdfmError) as error:
        raise MessageError("fused_window", str(error)) from error
    scale = np.asarray(message.scale, dtype=np.float32)
    cells = window.ni * window.nj
    sizes = (len(message.data), len(message.visibility), len(scale))
    channels = model.config.channels
    if sizes != (channels * cells, (cells + 7) // 8, channels) or message.channels != channels:
        raise MessageError("fused_size", f"data, visibility and scale have lengths {sizes}")
    ages = np.asarray(message.ages_s, dtype=np.float64)
    if not np.isfinite(scale).all() or not np.isfinite(ages).all() or len(message.contributors) != len(ages):
        raise MessageError("fused_content", "scales and ages must be finite, one age for each contributor")
    visible = np.unpackbits(np.frombuffer(message.visibility, np.uint8), count=cells).astype(np.bool_)
    values = np.frombuffer(message.data, np.int8).reshape(len(scale), window.ni, window.nj)
    fused_map = model.dequantise_fused(
        values, scale, visible.reshape(window.ni, window.nj), len(message.contributors)
    )
    return Fused(
        stamp_ns=checked_stamp_ns(message.header.stamp, "fused map"),
        frame=int(message.frame),
        collaborative=fused_map,
        single=None,
        contributors=tuple(message.contributors),
        ages_s=tuple(float(a) for a in message.ages_s),
        arrived_s=arrived_s,
        region=window,
    )
