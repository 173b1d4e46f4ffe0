"""The own map to packets and boxes within the byte budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.boxes import SideBoxes, boxes_in, boxes_within, encode_boxes
from rsdfm_ros.wire.budget import (
    MESSAGE_OVERHEAD_BYTES,
    BudgetConfig,
    BudgetController,
    Plan,
    apply_plan,
    reductions,
)
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame, tile_keys
from rsdfm_ros.wire.packet import encode_frame
from rsdfm_ros.wire.rate import UNLIMITED, RateBudget, lower

if TYPE_CHECKING:  # torch takes a second to import, and nodes need it only once they are active
    from rsdfm_ros.model.maps import AgentBev
    from rsdfm_ros.model.perception import Perception

Transmit = Callable[[bytes, int, int], int]
"""Sends a payload as packet `index` of `count` of an image; returns the bytes of the serialised message."""
OwnBoxes = Callable[[], SideBoxes | None]


@dataclass(frozen=True)
class Outgoing:
    """Everything that was sent of one image. packets: payloads, boxes last if `boxes` · feature_bytes, box_bytes: of
    the serialised messages · reduced: what the rate took from it (wire/budget.py) · wanted: whether a peer wants any
    of it."""

    packets: tuple[bytes, ...] = ()
    feature_bytes: int = 0
    box_bytes: int = 0
    boxes: bool = False
    reduced: tuple[str, ...] = ()
    wanted: bool = True

    @property
    def message_bytes(self) -> int:
        """Bytes of all messages."""
        return self.feature_bytes + self.box_bytes


def packets_of(
    model: Perception, frame: FeatureFrame | DenseFrame, max_packet_bytes: int | None = None
) -> list[bytes]:
    """The packets of a frame of the model's features. max_packet_bytes: of the payload; a tile that does not fit loses
    cells."""
    return encode_frame(frame, max_packet_bytes, fingerprint=model.fingerprint, thin=True)


class Sender:
    """The sender of one UAV. Offline methods subclass it: `plan` sets the content of a frame, `features` compresses it.

    peers_late: the newest fusion used older maps of peers, so that boxes are useful to all.
    budget: settings of the byte budget beside its target, which is that of the options · envelope_bytes: of a message
    around its payload, which with it has at most the `max_packet_bytes` of the options.
    """

    def __init__(
        self,
        options: AgentOptions = DEFAULTS,
        budget: BudgetConfig | None = None,
        *,
        envelope_bytes: int = MESSAGE_OVERHEAD_BYTES,
    ) -> None:
        self.options, self._envelope_bytes = options, envelope_bytes
        self.peers_late = False
        self._budget = BudgetController(options.budget_bytes if budget is None else budget)
        self._radio_bytes_s: int | None = None
        self._rate = RateBudget(options.budget_bytes_s or None)
        self._share = UNLIMITED

    def configure(self, options: AgentOptions) -> None:
        """Change the options; the estimate of bytes per cell is kept."""
        if options.budget_bytes != self.options.budget_bytes:
            self._budget.retarget(options.budget_bytes)
        changed = options.budget_bytes_s != self.options.budget_bytes_s
        self.options = options
        if changed:
            self.limit(self._radio_bytes_s)

    @property
    def bytes_per_s(self) -> int | None:
        """The rate in force: the lower one of the options and of the radio; None for no limit."""
        return self._rate.bytes_per_s

    def limit(self, radio_bytes_s: int | None) -> None:
        """Set the bytes per second that the radio takes, 0 for none; None where it says nothing."""
        self._radio_bytes_s = radio_bytes_s
        self._rate.set(lower(self.options.budget_bytes_s or None, radio_bytes_s))

    def spend(self, sent_bytes: int) -> None:
        """Count further serialised bytes of this UAV against the rate. May be called from any thread."""
        self._rate.spend(sent_bytes)

    def plan(self) -> Plan:
        """Plan the content of the next image."""
        return self._budget.plan(self._share)

    def features(
        self, model: Perception, bev: AgentBev, plan: Plan, demand: NDArray[np.float32] | None
    ) -> FeatureFrame:
        """Compress a map for sending. demand: see Perception.compress; tiles without any are left out."""
        frame = apply_plan(model.compress(bev, plan.cells, demand, low=plan.low), plan)
        if demand is None:
            return frame
        i, j = (n // TILE_CELLS for n in demand.shape)
        tiles = demand.reshape(i, TILE_CELLS, j, TILE_CELLS).any(axis=(1, 3))
        wanted = model.window.tiles()[tiles.ravel()]
        kept = np.isin(tile_keys(frame.tiles), tile_keys(wanted))
        return frame if kept.all() else frame.rows(kept)

    def sends_boxes(self, model: Perception, covariance: NDArray[np.float64]) -> bool:
        """Whether boxes are sent with an image that was taken from a pose of this covariance (6, 6)."""
        wish = self.options.send_boxes
        useful = wish == "auto" and (bool(covariance.any()) or self.peers_late)
        return "detection" in model.config.heads and (useful or wish == "always")

    def send(
        self,
        model: Perception,
        bev: AgentBev,
        covariance: NDArray[np.float64],
        transmit: Transmit,
        own_boxes: OwnBoxes,
        *,
        demand: NDArray[np.float32] | None = None,
        other_bytes: int = 0,
        now_s: float | None = None,
    ) -> Outgoing:
        """Send a map within the budget: its features, and after them boxes if these are useful and features are sent.

        own_boxes: called after the features were sent, because detection takes time · demand (H, W) in [0, 1]: see
        Perception.compress; nothing is sent where it is 0, and None asks for everything · other_bytes: of further
        messages of this image, which count against the budget · now_s: time of the clock of the rate, which counts only
        with it.
        """
        self._share = UNLIMITED if now_s is None else self._rate.image(now_s)
        if demand is not None and not demand[bev.visible.cpu().numpy()].any():
            return Outgoing(wanted=False)
        if not self._share.enough:
            return Outgoing(reduced=reductions(self._budget.plan(), self.plan(), 0, enough=False))
        plan = self.plan()
        frame = self.features(model, bev, plan, demand)
        most_bytes = self.options.max_packet_bytes - self._envelope_bytes
        packets = packets_of(model, frame, most_bytes)
        boxes = bool(packets) and self.sends_boxes(model, covariance)
        count = len(packets) + boxes
        feature_bytes = sum(transmit(payload, index, count) for index, payload in enumerate(packets))
        self._rate.spend(feature_bytes + other_bytes)
        box_bytes = 0
        found = own_boxes() if boxes else None
        if found is not None:
            mean_bytes = int(min(self.options.budget_bytes, self._share.mean_bytes))
            packets.append(encode_boxes(found, min(boxes_within(mean_bytes), boxes_in(most_bytes))))
            box_bytes = transmit(packets[-1], count - 1, count)
            self._rate.spend(box_bytes)
        cells = len(frame.high_cell)
        limited = self._share is not UNLIMITED
        reduced = reductions(self._budget.plan(), plan, cells, enough=True) if limited else ()
        self._budget.sent(
            feature_bytes,
            cells,
            len(frame.tiles),
            box_bytes + other_bytes,
            low=plan.low if limited else None,
        )
        return Outgoing(tuple(packets), feature_bytes, box_bytes, found is not None, reduced)
