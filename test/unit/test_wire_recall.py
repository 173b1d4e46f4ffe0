"""What was lost is looked up in the picture before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from wire_frames import feature_frame, same

from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from rsdfm_ros.wire.recall import lost_tiles


def received(seed: int, kept: list[bool]) -> object:
    """The frame of a seed without some of its packets."""
    packets = encode_frame(feature_frame(seed, tiles=10, cells=150), 1200)
    arrived = [p for n, p in enumerate(packets) if kept[n % len(kept)]]
    return assemble([decode_packet(p) for p in arrived], low_channels=16, high_channels=16)


def names(frame: object) -> set[tuple[int, int]]:
    return set() if frame is None else {tuple(t) for t in frame.tiles.tolist()}  # type: ignore[attr-defined]


def test_a_picture_of_which_nothing_was_lost_needs_nothing_from_an_equal_one() -> None:
    frame = feature_frame(3)
    assert lost_tiles(frame, frame) is None


def test_a_picture_of_which_everything_was_lost_is_the_one_before() -> None:
    before = feature_frame(4)
    nothing = assemble([], low_channels=16, high_channels=16)
    recalled = lost_tiles(nothing, before)
    assert recalled is not None and same(recalled, before)


@given(st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=6))
def test_lost_packets_of_a_still_scene_are_made_up_for(seed: int, kept: list[bool]) -> None:
    whole, part = feature_frame(seed, tiles=10, cells=150), received(seed, kept)
    recalled = lost_tiles(part, whole)  # type: ignore[arg-type]
    assert names(part) | names(recalled) == names(whole)
    if recalled is None:
        return
    recalled.validate()
    rows = {tuple(t): n for n, t in enumerate(whole.tiles.tolist())}
    for m, tile in enumerate(recalled.tiles.tolist()):
        n = rows[tuple(tile)]
        assert np.array_equal(recalled.low[m], whole.low[n])
        assert np.array_equal(recalled.high[recalled.high_tile == m], whole.high[whole.high_tile == n])
        assert np.array_equal(
            recalled.high_cell[recalled.high_tile == m], whole.high_cell[whole.high_tile == n]
        )


def test_a_tile_whose_high_band_came_is_not_recalled() -> None:
    frame = feature_frame(5)
    recalled = lost_tiles(frame, feature_frame(5, cells=300))
    assert recalled is None or not names(recalled) & {
        tuple(frame.tiles[n].tolist()) for n in np.unique(frame.high_tile)
    }
