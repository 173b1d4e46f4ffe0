"""A region of interest: the same weights answer the same elsewhere, and a smaller region is all that is computed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.mapping import image_part, lift_cells
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.model.region import RegionError, region_of
from rsdfm_ros.model.store import state_fingerprint
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from support.tiny_model import CONFIG, K, view

COVARIANCE = np.diag([0.3, 0.2, 0.1, 1e-3, 1e-3, 1e-3])


@pytest.fixture(scope="module")
def perception() -> Perception:
    """Untrained weights whose heads answer something everywhere."""
    made = Perception.random(CONFIG, seed=1)
    for name, parameter in made.model.named_parameters():
        if name.endswith("bias") and name.startswith("heads."):
            parameter.data.clamp_(min=0.0)
    return Perception(made.model, state_fingerprint(made.model), {"thresholds": {"segmentation": 0.499}})


def moved(T: np.ndarray, x_m: float, y_m: float) -> np.ndarray:
    out = T.copy()
    out[:2, 3] += x_m, y_m
    return out


def fly(perception: Perception, x_m: float, y_m: float) -> tuple[list[AgentBev], list[FusedMap]]:
    """Three maps of an ego that hears one peer over the wire, in a world shifted by (x_m, y_m)."""
    owns, maps = [], []
    for frame in range(3):
        image, T = view(frame)
        owns.append(perception.perceive(image, K, moved(T, x_m, y_m), COVARIANCE))
        image, T = view(frame + 3)
        T = moved(T, x_m, y_m)
        peer = perception.perceive(image, K, T, COVARIANCE)
        packets = encode_frame(perception.compress(peer, 500), 4000, fingerprint=perception.fingerprint)
        received = assemble([decode_packet(p) for p in packets], low_channels=4, high_channels=4)
        maps.append(perception.fuse(owns[-1], [perception.decompress(received, T, COVARIANCE)], [0.3]))
    return owns, maps


@pytest.mark.parametrize("tiles", [(3, -2), (625, 1250), (-8100, 8100)], ids=["near", "10 km", "130 km"])
def test_a_shifted_region_answers_what_the_shifted_world_is(
    perception: Perception, tiles: tuple[int, int]
) -> None:
    shift = 16.0 * np.array(tiles)
    own = perception.window
    there = perception.at(dataclasses.replace(own, i0=own.i0 + 16 * tiles[0], j0=own.j0 + 16 * tiles[1]))
    (own_here, maps), (own_there, maps_there) = fly(perception, 0, 0), fly(there, *shift)
    for a, b in zip(own_here, own_there, strict=True):
        assert (a.visible == b.visible).all() and a.visible.any()
        np.testing.assert_allclose(a.features, b.features, atol=1e-5)
        np.testing.assert_allclose(a.sigma, b.sigma, atol=1e-5)
    for a, b in zip(maps, maps_there, strict=True):
        np.testing.assert_allclose(a.features, b.features, atol=1e-4)
    here, far = perception.segment(maps), there.segment(maps_there)
    assert here.ids.max() > 3
    np.testing.assert_array_equal(here.ids, far.ids)
    np.testing.assert_allclose(here.centres + shift, far.centres, atol=1e-4)
    found, found_far = perception.detect(maps), there.detect(maps_there)
    assert len(found) > 3
    np.testing.assert_allclose(found.centres[:, :2] + shift, found_far.centres[:, :2], atol=1e-3)
    motion, motion_far = perception.predict(maps, here), there.predict(maps_there, far)
    np.testing.assert_array_equal(motion.ids, motion_far.ids)
    np.testing.assert_allclose(motion.positions + shift, motion_far.positions, atol=1e-3)
    assert there.output_window.bounds == pytest.approx(
        tuple(np.add(perception.output_window.bounds, [*shift, *shift]))
    )


def test_a_smaller_region_is_all_that_is_mapped_sent_fused_and_answered(perception: Perception) -> None:
    region = Window(-16, 0, 32, 16, 1.0)
    small = perception.at(region)
    assert small.window == small.region == region and small.output_window.shape == (64, 32)
    own, maps = fly(small, 0, 0)
    assert own[0].features.shape == (CONFIG.channels, 32, 16) and own[0].visible.any()
    sent = small.compress(own[0], 500).tiles
    assert set(map(tuple, sent.tolist())) <= {(-1, 0), (0, 0)}
    for fused in maps:
        assert fused.visible.shape == (32, 16) and fused.visible.any()
    instances, found = small.segment(maps), small.detect(maps)
    assert instances.ids.shape == instances.probability.shape == (64, 32)
    assert instances.ids.max() == len(instances.centres) == len(instances.scores) > 0
    assert set(np.unique(instances.ids)) == set(range(instances.ids.max() + 1))
    x_min, y_min, x_max, y_max = region.bounds
    assert len(found) > 0
    assert ((found.centres[:, :2] >= [x_min, y_min]) & (found.centres[:, :2] < [x_max, y_max])).all()
    motion = small.predict(maps, instances)
    assert motion.ids.shape == (1 + CONFIG.horizon, 64, 32)
    np.testing.assert_array_equal(motion.ids[0], instances.ids)
    assert len(motion.tracks) == len(instances.centres)


def test_tiles_of_peers_outside_the_region_are_left_out_and_the_others_are_the_same(
    perception: Perception,
) -> None:
    region = Window(-16, 0, 32, 16, 1.0)
    image, T = view(1)
    frame = perception.compress(perception.perceive(image, K, T), 5000)
    whole, part = (
        perception.decompress(frame, T, COVARIANCE),
        perception.at(region).decompress(frame, T, COVARIANCE),
    )
    here = perception.window.crop(region)
    assert part.visible.any() and (part.visible == whole.visible[here]).all()
    # Values are spread over two cells: at the edge of the region those outside are missing.
    inner = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(part.features[inner], whole.features[(slice(None), *here)][inner], atol=1e-5)
    np.testing.assert_allclose(part.sigma, whole.sigma[here], atol=1e-5)


@pytest.mark.parametrize("region", [Window(-16, 0, 32, 16, 1.0), Window(-32, -32, 16, 16, 1.0)])
def test_the_part_of_an_image_that_is_encoded_shows_all_of_the_region(region: Window) -> None:
    _, T = view(2)
    size, camera = (CONFIG.image_height, CONFIG.image_width), torch.from_numpy(T)
    part = image_part(CONFIG, size, torch.from_numpy(K), camera, GroundPlane(), region)
    cells = lift_cells(CONFIG, size, 2, torch.from_numpy(K)[None], camera[None], GroundPlane(), region)[0]
    shown = (cells < region.ni * region.nj).any(dim=1).view(size[0] // 2, size[1] // 2).numpy()
    assert shown.any() and part is not None
    assert all(s.start % 32 == s.stop % 32 == 0 for s in part)
    outside = np.ones(size, bool)
    outside[part] = False
    assert not (shown & outside[::2, ::2]).any()


def test_a_region_is_mapped_from_its_part_of_the_image_as_from_the_whole(perception: Perception) -> None:
    """Only what the encoder sees beyond its margin is missing, which an untrained one weighs as much as any pixel."""
    region = Window(-32, -32, 16, 16, 1.0)
    image, T = view(2)
    size = (CONFIG.image_height, CONFIG.image_width)
    shown = image_part(CONFIG, size, torch.from_numpy(K), torch.from_numpy(T), GroundPlane(), region)
    assert shown == (slice(0, 64), slice(0, 64)), "two thirds of the image"
    part, whole = perception.at(region).perceive(image, K, T), perception.perceive(image, K, T)
    here = perception.window.crop(region)
    seen = part.visible & whole.visible[here]
    assert seen.sum() > 0.95 * whole.visible[here].sum() > 0
    apart = (part.features - whole.features[(slice(None), *here)])[:, seen].norm()
    assert apart < 0.2 * whole.features[(slice(None), *here)][:, seen].norm()


def test_an_image_that_does_not_show_the_region_gives_an_empty_map(perception: Perception) -> None:
    image, T = view(0)
    bev = perception.at(Window(1600, 1600, 16, 32, 1.0)).perceive(image, K, T, COVARIANCE)
    assert bev.features.shape == (CONFIG.channels, 16, 32) and not bev.features.any()
    assert not bev.visible.any() and bev.sigma.shape == (16, 32)


def test_a_fused_map_of_a_region_survives_its_message_form(perception: Perception) -> None:
    small = perception.at(Window(-16, 0, 32, 16, 1.0))
    fused = fly(small, 0, 0)[1][0]
    values, scale = small.quantise_fused(fused)
    visible = fused.visible.numpy()
    assert values.shape[1:] == visible.shape == (32, 16)
    back = small.dequantise_fused(values, scale, visible)
    assert (back.visible == fused.visible).all()
    np.testing.assert_allclose(back.features, fused.features, atol=float(scale.max()))


def test_bounds_become_the_tiles_that_they_touch() -> None:
    assert region_of(CONFIG, ()) == CONFIG.window
    assert region_of(CONFIG, (0.0, -16.0, 16.0, 16.0)) == Window(0, -16, 16, 32, 1.0)
    assert region_of(CONFIG, (0.1, -0.1, 15.9, 0.1)) == Window(0, -16, 16, 32, 1.0)
    assert region_of(CONFIG, (1e4, 2e4, 1e4 + 1, 2e4 + 1)) == Window(10000, 20000, 16, 16, 1.0)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0.0, 0.0, 1.0), "x_min y_min x_max y_max"),
        ((0.0, 0.0, float("nan"), 1.0), "finite"),
        ((5.0, 0.0, 5.0, 1.0), "x_min < x_max"),
        ((0.0, 0.0, 2e6, 1.0), "1000 km"),
        ((2e5, 0.0, 2.0001e5, 1.0), "within 131 km"),
        ((-40.0, 0.0, 40.0, 10.0), "at most 64 x 64 m.*96 x 16 m: make it smaller"),
    ],
)
def test_an_impossible_region_is_refused_in_words(bounds: tuple[float, ...], words: str) -> None:
    with pytest.raises(RegionError, match=words):
        region_of(CONFIG, bounds)


@pytest.mark.parametrize(
    "region",
    [
        Window(1, 0, 16, 16, 1.0),
        Window(0, 0, 16, 16, 0.5),
        Window(0, 0, 80, 16, 1.0),
        Window(2**30, 0, 16, 16, 1.0),
    ],
)
def test_a_window_that_does_not_fit_the_model_is_refused(perception: Perception, region: Window) -> None:
    with pytest.raises(RsdfmError):
        perception.at(region)


def test_thresholds_are_replaced_without_touching_the_model(perception: Perception) -> None:
    maps = fly(perception, 0, 0)[1]
    strict = perception.with_thresholds({"detection": 0.9, "segmentation": 0.99})
    assert len(strict.detect(maps)) < len(perception.detect(maps))
    assert strict.segment(maps).ids.max() < perception.segment(maps).ids.max()
    assert perception.thresholds["segmentation"] == 0.499 and strict.model is perception.model
