"""The kinds of attack by name."""

from __future__ import annotations

from rsdfm_ros.wire.faults.attack import COVARIANCE, REPLAYED, SATURATED, SHIFTED

MIRRORED, FABRICATED, ERASED = "mirrored", "fabricated", "erased"
COLLUDING, OPTIMISED = "colluding", "optimised"

KINDS: dict[str, str] = {
    MIRRORED: "features of the image mirrored, with the true pose",
    FABRICATED: "features of vehicles where none stands, and their boxes",
    ERASED: "features of empty road where vehicles stand, and no boxes of them",
    SHIFTED: "the map and boxes shifted by 3 to 10 m",
    REPLAYED: "the packets of 5 s ago, or the first ones, as new",
    SATURATED: "all latents and scales at the largest values that receivers accept",
    COVARIANCE: "a map from a pose that is 2 m and 2° off, sent as exact",
    COLLUDING: "as fabricated, at places that all attackers agree on",
    OPTIMISED: "latents optimised by gradient against fusion and heads (white box)",
}
"""Every kind with a description."""

IMAGE_KINDS = (MIRRORED, COVARIANCE)
"""Kinds that falsify what the encoder gets."""
MAP_KINDS = (FABRICATED, ERASED, SHIFTED, COLLUDING)
"""Kinds that falsify map and boxes of an agent before they are sent; they need a detection head."""
