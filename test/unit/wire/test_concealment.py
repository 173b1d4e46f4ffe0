"""Lost tiles are taken from the previous frame."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rsdfm_ros.wire.concealment import conceal_loss
from rsdfm_ros.wire.features import FeatureFrame, half
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from support.wire_frames import feature_frame, same


def received(frame: FeatureFrame, kept: list[bool]) -> FeatureFrame:
    """A frame without some of its packets."""
    packets = encode_frame(frame, 1200)
    arrived = [p for n, p in enumerate(packets) if kept[n % len(kept)]]
    return assemble([decode_packet(p) for p in arrived], low_channels=16, high_channels=16)


def test_a_picture_with_everything_takes_nothing_from_an_equal_one() -> None:
    frame = feature_frame(3)
    recalled = conceal_loss(frame, frame, 0.5)
    assert same(recalled.frame, frame) and not recalled.stale.any()


def test_nothing_before_changes_nothing() -> None:
    frame = feature_frame(3)
    assert conceal_loss(frame, None, 0.5).frame is frame
    other = feature_frame(3, low_channels=8)
    assert conceal_loss(frame, other, 0.5).frame is frame  # of another model


@given(st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=6))
def test_in_a_still_scene_lost_packets_are_made_up_for(seed: int, kept: list[bool]) -> None:
    whole = feature_frame(seed, tiles=10, cells=150)
    part = received(whole, kept)
    recalled = conceal_loss(part, whole, 0.5)
    assert same(recalled.frame.validate(), whole)
    lost = {tuple(t) for t in whole.tiles.tolist()} - {tuple(t) for t in part.tiles.tolist()}
    stale = {tuple(t) for t in recalled.frame.tiles[recalled.stale].tolist()}
    assert lost <= stale and recalled.stale_s == 0.5
    assert all(kept) <= (not stale)


@given(st.integers(0, 30), st.integers(0, 30), st.lists(st.booleans(), min_size=1, max_size=6))
def test_what_arrived_is_kept(seed: int, other: int, kept: list[bool]) -> None:
    before = feature_frame(seed, tiles=10, cells=150)
    part = received(feature_frame(other + 100, tiles=9, cells=120), kept)
    recalled = conceal_loss(part, before, 0.5)
    frame = recalled.frame.validate()
    rows = {tuple(t): n for n, t in enumerate(frame.tiles.tolist())}
    for n in np.unique(part.high_tile):
        row = rows[tuple(part.tiles[n].tolist())]
        assert not recalled.stale[row] and np.array_equal(frame.low[row], part.low[n])
        assert np.array_equal(frame.high[frame.high_tile == row], part.high[part.high_tile == n])


@given(st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=6))
def test_what_is_recalled_means_the_same_in_the_scales_of_the_new_picture(
    seed: int, kept: list[bool]
) -> None:
    now = feature_frame(seed + 100, tiles=10, cells=150)
    before = feature_frame(seed, tiles=12, cells=200)
    scales = {name: half(getattr(before, name) / 10) for name in ("low_scale", "high_scale")}
    before = dataclasses.replace(before, **scales)
    part = received(now, kept)
    recalled = conceal_loss(part, before, 0.5)
    frame, rows = recalled.frame.validate(), {tuple(t): n for n, t in enumerate(before.tiles.tolist())}
    if len(part.tiles):
        assert np.array_equal(frame.low_scale, now.low_scale)
    assert recalled.stale.any()
    for n in np.flatnonzero(recalled.stale):
        row = rows[tuple(frame.tiles[n].tolist())]
        for band, here, there in (
            ("low", frame.low[n].T, before.low[row].T),
            ("high", frame.high[frame.high_tile == n], before.high[before.high_tile == row]),
        ):
            scale, was = getattr(frame, f"{band}_scale"), getattr(before, f"{band}_scale")
            assert (abs(here * scale - there * was) <= 0.501 * scale).all()


def test_scales_that_are_no_use_do_no_harm() -> None:
    before, now = feature_frame(1), received(feature_frame(2), [True, False])
    for a, b in ((65504.0, 2.0**-24), (2.0**-24, 65504.0)):
        old = dataclasses.replace(before, low_scale=np.full(16, a, np.float32))
        new = dataclasses.replace(now, low_scale=np.full(16, b, np.float32))
        recalled = conceal_loss(new, old, 0.5)
        assert recalled.stale.any() and recalled.frame.validate()
