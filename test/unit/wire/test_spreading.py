"""Tiles over the packets of an image, and cells of a tile that is too large for its packet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rsdfm_ros.wire import encode
from rsdfm_ros.wire.concealment import conceal_loss
from rsdfm_ros.wire.errors import PacketTooSmall
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.packet import FeaturePart, assemble, decode_packet, encode_frame
from rsdfm_ros.wire.spreading import spread, thinned
from support.wire_frames import dense_frame, feature_frame

PAYLOAD = 1100
"""Payload of a message of 1300 bytes."""
PLACES = np.array([[-4, -4], [3, 2]])
"""Tiles around which the important cells of `busy_frame` lie."""


def busy_frame(seed: int) -> tuple[FeatureFrame, np.ndarray]:
    """A frame of 2 kB with the importance (n,) of its cells: most of it at two places of 3 × 3 tiles."""
    whole = feature_frame(seed, tiles=1600, cells=1)
    near = (np.abs(whole.tiles) <= 5).all(axis=1)
    rng = np.random.default_rng(seed)
    frame = whole.rows(near)
    distance = np.abs(frame.tiles[:, None] - PLACES).max(axis=2).min(axis=1)
    worth = np.repeat(np.exp(-0.8 * distance), 256)
    chosen = np.sort(rng.choice(len(worth), 450, replace=False, p=worth / worth.sum()))
    latents = np.clip(rng.normal(0, 1.5, (450, 16)), -127, 127).astype(np.int8)
    frame = dataclasses.replace(
        frame,
        low=np.zeros_like(frame.low),
        visible=np.ones_like(frame.visible),
        high_tile=(chosen // 256).astype(np.int32),
        high_cell=(chosen % 256).astype(np.uint8),
        high=latents,
    )
    return frame.rows(frame.counts > 0), worth[chosen]


def parts_of(packets: list[bytes]) -> list[FeatureFrame]:
    found = [decode_packet(packet) for packet in packets]
    return [part.frame for part in found if isinstance(part, FeaturePart)]


def rows_in(frame: FeatureFrame, part: FeatureFrame) -> np.ndarray:
    """Which cells (n,) of a frame are in tiles of a part."""
    tiles = {tuple(t) for t in part.tiles.tolist()}
    return np.array([tuple(t) in tiles for t in frame.tiles.tolist()])[frame.high_tile]


@pytest.mark.parametrize("seed", range(4))
def test_a_lost_packet_takes_its_share_of_the_importance_and_not_all_of_one_place(seed: int) -> None:
    frame, worth = busy_frame(seed)
    packets = encode_frame(frame, PAYLOAD)
    assert 2 <= len(packets) <= 4 and max(map(len, packets)) <= PAYLOAD
    distance = np.abs(frame.tiles[:, None] - PLACES).max(axis=2)[frame.high_tile]
    for part in parts_of(packets):
        lost = rows_in(frame, part)
        assert worth[lost].sum() < 1.3 * worth.sum() / len(packets)
        for place in range(len(PLACES)):
            here = distance[:, place] <= 1
            assert worth[lost & here].sum() < 0.7 * worth[here].sum()


def test_with_a_fifth_of_the_packets_lost_nearly_all_of_the_importance_is_known() -> None:
    """Fresh or, in the tiles of a lost packet, from the frame before; the scene moves, so that tiles come and go."""
    rng = np.random.default_rng(0)
    fresh, known, before = [], [], None
    for k in range(60):
        frame, worth = busy_frame(0)
        drift = np.int32(k // 10)  # a new row of tiles every ten frames
        frame = dataclasses.replace(frame, tiles=frame.tiles + drift)
        packets = encode_frame(frame, PAYLOAD)
        arrived = [p for p in packets if rng.random() >= 0.2]
        now = assemble(
            [decode_packet(p) for p in arrived], low_channels=16, high_channels=frame.high.shape[1]
        )
        fresh.append(worth[rows_in(frame, now)].sum() / worth.sum())
        concealed = conceal_loss(now, before, 0.5).frame
        known.append(worth[rows_in(frame, concealed)].sum() / worth.sum())
        before = now if len(now.tiles) else before
    assert np.mean(fresh) == pytest.approx(0.8, abs=0.08)
    assert np.mean(known) > 0.93
    assert np.mean(np.array(fresh) < 0.1) < 0.1, "an image is hardly ever lost as a whole"


def test_tiles_are_dealt_evenly_and_neighbours_apart() -> None:
    i, j = np.divmod(np.arange(64), 8)
    tiles = np.stack([i, j], axis=1).astype(np.int32)
    part = spread(tiles, np.full(64, 10), 4)
    np.testing.assert_array_equal(np.bincount(part), [16] * 4)
    grid = part.reshape(8, 8)
    beside = np.concatenate([(grid[1:] == grid[:-1]).ravel(), (grid[:, 1:] == grid[:, :-1]).ravel()])
    assert beside.mean() < 0.1
    assert not spread(tiles, np.full(64, 10), 1).any()


def test_the_cells_that_stay_cover_a_tile_evenly_the_even_ones_of_the_checkerboard_first() -> None:
    frame = feature_frame(tiles=2, cells=512)
    half = thinned(frame, 128).validate()
    assert half.counts.tolist() == [128, 128]
    assert ((half.high_cell // 16 + half.high_cell % 16) % 2 == 0).all()
    few = thinned(frame, 16)
    quarters = few.high_cell // 16 // 4 * 4 + few.high_cell % 16 // 4
    np.testing.assert_array_equal(np.bincount(quarters[few.high_tile == 0]), np.ones(16))
    sparse = feature_frame(tiles=3, cells=20)
    np.testing.assert_array_equal(thinned(sparse, 256).high_cell, sparse.high_cell)
    rows = thinned(frame, 100)
    place = {(t, c): v.tolist() for t, c, v in zip(frame.high_tile, frame.high_cell, frame.high, strict=True)}
    for t, c, v in zip(rows.high_tile, rows.high_cell, rows.high, strict=True):
        assert place[t, c] == v.tolist()


@pytest.mark.parametrize("limit", [400, PAYLOAD, 4000])
def test_no_limit_is_exceeded_and_the_number_of_packets_is_found_in_few_tries(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    original = encode.spread
    monkeypatch.setattr(encode, "spread", lambda t, w, parts: tries.append(parts) or original(t, w, parts))
    frame = thinned(feature_frame(tiles=40, cells=40 * 256, high_channels=8), 120)
    packets = encode_frame(frame, limit, thin=True)
    assert max(map(len, packets)) <= limit and len(tries) <= 8
    assert sum(map(len, packets)) > 0.7 * limit * len(packets)


def test_a_tile_that_does_not_fit_loses_cells_where_that_is_wanted() -> None:
    frame = feature_frame(tiles=3, cells=3 * 256)
    with pytest.raises(PacketTooSmall):
        encode_frame(frame, PAYLOAD)
    packets = encode_frame(frame, PAYLOAD, thin=True)
    assert max(map(len, packets)) <= PAYLOAD
    counts = np.concatenate([part.counts for part in parts_of(packets)])
    assert len(counts) == 3 and counts.min() == counts.max() > 30
    assert min(map(len, packets)) > 0.8 * PAYLOAD, "no more cells are left out than must be"
    with pytest.raises(PacketTooSmall):
        encode_frame(feature_frame(tiles=1, cells=0), 100, thin=True)
    with pytest.raises(PacketTooSmall):
        encode_frame(dense_frame(tiles=1), 500, thin=True)
