"""The radio channel between UAVs: transmissions of one frame, and the part that a peer receives."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.evaluation.disturb import Disturbance


@dataclass(frozen=True)
class Sent:
    """The messages of one sender for one frame: payloads, their serialised sizes, the reported pose."""

    sender: int
    frame: int
    payloads: tuple[bytes, ...]
    message_bytes: int
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]
    decoded: dict[str, Any] = field(default_factory=dict)
    """Decoded values, shared by all receivers of the complete transmission; to be used under `lock`."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(frozen=True)
class Received:
    """The part of a `Sent` that arrived: `payloads` without the lost ones."""

    sent: Sent
    payloads: tuple[bytes, ...]
    age_s: float

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return len(self.payloads) == len(self.sent.payloads)


@dataclass
class Traffic:
    """Totals of the traffic: the accumulator of the communication figures."""

    sender_frames: int = 0
    message_bytes: int = 0
    messages: int = 0
    most_bytes: int = 0
    """Largest transmission of one sender for one frame."""

    def add(self, sent: Sent) -> None:
        """Count one sender's messages for one frame."""
        self.sender_frames += 1
        self.message_bytes += sent.message_bytes
        self.messages += len(sent.payloads)
        self.most_bytes = max(self.most_bytes, sent.message_bytes)

    def merge(self, other: Traffic) -> None:
        """Add what another accumulator counted."""
        self.sender_frames += other.sender_frames
        self.message_bytes += other.message_bytes
        self.messages += other.messages
        self.most_bytes = max(self.most_bytes, other.most_bytes)

    def result(self, frame_period_s: float) -> dict[str, float | None]:
        """Bytes and messages per frame and UAV, and Mbit/s per UAV."""
        n = self.sender_frames
        mean = self.message_bytes / n if n else None
        return {
            "bytes_per_frame": mean,
            "bytes_per_frame_max": float(self.most_bytes) if n else None,
            "packets_per_frame": self.messages / n if n else None,
            "mbit_per_s": None if mean is None else mean * 8e-6 / frame_period_s,
        }


class RadioChannel:
    """The radio channel of one method: stores transmissions and delivers them with latency, loss and false data."""

    def __init__(self, disturbance: Disturbance, scene: int) -> None:
        self._disturbance = disturbance
        self._scene = scene
        self._log: dict[int, tuple[list[Sent], dict[int, Sent]]] = {}

    def send(self, frame: int, messages: list[Sent], false: list[Sent] | None = None) -> None:
        """Store the transmission of every agent at a frame, and the false one of attackers; drop those too old to be
        used."""
        delay = self._disturbance.delay_frames
        self._log[frame] = (messages, {s.sender: s for s in false or []})
        for old in [k for k in self._log if k < frame - delay]:
            del self._log[old]

    def receive(self, frame: int, ego: int, agents: int) -> list[Received]:
        """Transmissions of `agents` UAVs that have reached `ego` by a frame, in the order of senders; a sender of which
        nothing came is left out.
        """
        disturbance = self._disturbance
        messages, false = self._log.get(frame - disturbance.delay_frames, ([], {}))
        silent = disturbance.silent(agents, ego)
        attackers = disturbance.false(agents, ego)
        out = []
        for sent in messages:
            if sent.sender == ego or sent.sender in silent:
                continue
            if sent.sender in attackers:
                sent = false[sent.sender]
            kept = disturbance.arrives(
                len(sent.payloads), scene=self._scene, frame=sent.frame, sender=sent.sender, receiver=ego
            )
            payloads = tuple(p for p, arrived in zip(sent.payloads, kept, strict=True) if arrived)
            if payloads:
                out.append(Received(sent, payloads, disturbance.age_s))
        return out
