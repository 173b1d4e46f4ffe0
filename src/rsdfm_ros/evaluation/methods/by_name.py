"""Methods by their names: which ones a text asks for, and whether a model can run them."""

from __future__ import annotations

from collections.abc import Sequence

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.kinds import MAP_KINDS, OPTIMISED
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.model.perception import Perception

ALWAYS_BY_BOXES = ("late", "where2comm")
"""Methods that exchange boxes in any case."""
BY_BOXES = (*ALWAYS_BY_BOXES, "rsdfm", "rsdfm-ondemand")
"""Methods that exchange boxes where something disturbs."""


def parse_methods(text: str) -> tuple[str, ...]:
    """Method names in the order given; RsdfmError names an unknown one."""
    names = tuple(dict.fromkeys(filter(None, (n.strip() for n in text.split(",")))))
    if names == ("all",):
        return tuple(METHODS)
    unknown = [n for n in names if n not in METHODS]
    if unknown or not names:
        raise RsdfmError(
            f"unknown method {', '.join(unknown) or '(none)'}: expected some of {', '.join(METHODS)}"
        )
    return names


def check_methods(perception: Perception, methods: Sequence[str], disturbance: Disturbance) -> None:
    """RsdfmError if a method exchanges boxes and the model detects none, or if attackers need a head that it lacks."""
    kind = disturbance.attack_kind
    head = "detection" if kind in MAP_KINDS else "segmentation" if kind == OPTIMISED else None
    if disturbance.attackers and head is not None and head not in perception.config.heads:
        raise RsdfmError(
            f"attack_kind={kind} needs a {head} head, and this model has {', '.join(perception.config.heads)}"
        )
    if "detection" in perception.config.heads:
        return
    boxes = ALWAYS_BY_BOXES if disturbance == Disturbance() else BY_BOXES
    wrong = [m for m in methods if m in boxes]
    if wrong:
        fine = ", ".join(m for m in METHODS if m not in boxes)
        raise RsdfmError(
            f"{', '.join(wrong)} exchange boxes, and this model has no detection head (it has "
            f"{', '.join(perception.config.heads)}): give --methods of {fine}"
        )
