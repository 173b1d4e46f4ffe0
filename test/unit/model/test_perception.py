"""One agent's use of a model: what travels decodes to what training simulated; folders are checked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.perception import AgentBev, Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import ModelStoreError, load_model, read_manifest, save_model, write_manifest
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from support.cameras import oblique_camera
from support.tiny_model import CONFIG, K, view


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception.random(CONFIG, seed=1)


@pytest.fixture(scope="module")
def bevs(perception: Perception) -> list[AgentBev]:
    return [perception.perceive(image, K, T) for image, T in map(view, range(3))]


def test_a_map_is_zero_where_nothing_was_seen(bevs: list[AgentBev]) -> None:
    for bev in bevs:
        assert 0.05 < bev.visible.float().mean() < 1.0
        assert (bev.features[:, ~bev.visible] == 0).all()
        assert (bev.sigma == 0).all()


def test_what_travels_decodes_to_what_training_simulates(
    perception: Perception, bevs: list[AgentBev]
) -> None:
    frame = perception.compress(bevs[0], 200).validate()
    received = assemble([decode_packet(p) for p in encode_frame(frame)])
    decoded = perception.decompress(received, view(0)[1])
    with torch.no_grad():
        simulated = perception.model.compression.simulate(
            bevs[0].features[None].clone(), bevs[0].visible[None, None].clone(), 200
        )
    assert len(frame.high) == simulated.sent.sum() == 200
    assert torch.equal(decoded.visible, bevs[0].visible)
    assert torch.allclose(decoded.features, simulated.decoded[0].float(), atol=1e-3)


def test_a_lost_tile_is_unknown_and_the_rest_is_untouched(
    perception: Perception, bevs: list[AgentBev]
) -> None:
    frame = perception.compress(bevs[0], 300)
    packets = encode_frame(frame, max_packet_bytes=400)
    assert len(packets) > 1
    partial = assemble([decode_packet(p) for p in packets[1:]])
    whole = perception.decompress(frame, view(0)[1])
    some = perception.decompress(partial, view(0)[1])
    assert some.visible.sum() < whole.visible.sum()
    assert not (some.visible & ~whole.visible).any()
    assert torch.isfinite(some.features).all()


def test_recalled_tiles_are_as_old_as_their_picture_and_weigh_like_it(
    perception: Perception, bevs: list[AgentBev]
) -> None:
    frame, T = perception.compress(bevs[1], 300), view(1)[1]
    fresh = perception.decompress(frame, T)
    stale = np.arange(len(frame.tiles)) % 2 == 0
    part = perception.decompress(frame, T, stale=stale, stale_s=0.5)
    assert fresh.lag_s is None and part.lag_s is not None
    assert torch.equal(part.features, fresh.features)
    expected = torch.zeros(CONFIG.window.shape)
    for i, j in (frame.tiles[stale] * 16 - [CONFIG.window.i0, CONFIG.window.j0]).tolist():
        expected[i : i + 16, j : j + 16] = 0.5
    assert torch.equal(part.lag_s, expected)

    cases = ((fresh, 0.25), (part, 0.25), (fresh, 0.75))
    now, mixed, older = (perception.fuse(bevs[0], [peer], [age]) for peer, age in cases)
    weights = []
    for peer, age in cases:
        found, cells = perception.model.interaction.weights([bevs[0], peer], [0.0, age])
        weights.append(torch.tensor([1.0, 0.0])[:, None].repeat(1, peer.visible.numel()))
        weights[-1][:, cells] = found
        weights[-1] = weights[-1].view(2, *peer.visible.shape)
    late, shared = part.lag_s > 0, bevs[0].visible & fresh.visible
    assert (shared & late).any() and (shared & ~late).any()
    torch.testing.assert_close(weights[1][:, ~late], weights[0][:, ~late])
    torch.testing.assert_close(weights[1][:, late], weights[2][:, late])
    assert not torch.allclose(weights[1][:, shared & late], weights[0][:, shared & late], rtol=1e-3)
    assert not torch.equal(mixed.features, now.features) and not torch.equal(mixed.features, older.features)

    whole = perception.decompress(frame, T, stale=np.ones_like(stale), stale_s=0.5)
    assert torch.equal(perception.fuse(bevs[0], [whole], [0.25]).features, older.features)


def test_dense_frames_carry_the_map_in_half_precision(perception: Perception, bevs: list[AgentBev]) -> None:
    frame = perception.dense_frame(bevs[1]).validate()
    back = perception.from_dense_frame(frame, view(1)[1])
    assert torch.equal(back.visible, bevs[1].visible)
    assert torch.allclose(back.features, bevs[1].features, atol=2e-3, rtol=1e-3)


def test_demand_moves_the_cells_that_are_sent(perception: Perception, bevs: list[AgentBev]) -> None:
    demand = np.zeros(CONFIG.window.shape, np.float32)
    demand[:, :32] = 1.0
    asked = perception.compress(bevs[0], 50, demand)
    columns = asked.tiles[asked.high_tile][:, 1] * 16 + asked.high_cell % 16 - CONFIG.window.j0
    free = perception.compress(bevs[0], 50)
    assert (columns < 32).all() and len(columns) == 50 and len(free.high_tile) == 50
    assert not (
        np.array_equal(asked.high_tile, free.high_tile) and np.array_equal(asked.high_cell, free.high_cell)
    )


def test_peers_without_a_valid_cell_leave_the_output_exactly_single(
    perception: Perception, bevs: list[AgentBev]
) -> None:
    alone = perception.fuse(bevs[0], [], [])
    blind = dataclasses.replace(
        bevs[1], visible=torch.zeros_like(bevs[1].visible), content=torch.zeros_like(bevs[1].features)
    )
    together = perception.fuse(bevs[0], [blind, blind], [0.0, 0.5])
    assert torch.equal(alone.features, together.features)
    assert torch.equal(alone.visible, together.visible)


def test_the_order_of_peers_does_not_matter(perception: Perception, bevs: list[AgentBev]) -> None:
    one = perception.fuse(bevs[0], [bevs[1], bevs[2]], [0.0, 0.5])
    two = perception.fuse(bevs[0], [bevs[2], bevs[1]], [0.5, 0.0])
    assert torch.allclose(one.features, two.features, atol=0.05)  # bfloat16 sums in another order
    assert one.contributors == two.contributors == 3
    assert sum(one.shares) == pytest.approx(1.0, abs=0.02)


def test_uncertain_poses_give_uncertain_cells(perception: Perception) -> None:
    image, T = view(0)
    sure = perception.perceive(image, K, T, np.eye(6) * 1e-6)
    unsure = perception.perceive(image, K, T, np.eye(6) * 0.01)
    assert (unsure.sigma > sure.sigma).all()
    assert unsure.sigma.max() <= 5.0


def test_heads_take_short_histories(perception: Perception, bevs: list[AgentBev]) -> None:
    fused = perception.fuse(bevs[0], bevs[1:], [0.0, 0.0])
    once, thrice = perception.predict([fused]), perception.predict([fused] * 3)
    assert np.array_equal(once.ids, thrice.ids)
    assert once.ids.shape == (1 + CONFIG.horizon, *CONFIG.output_window.shape)
    assert len(perception.detect([fused])) >= 0
    with pytest.raises(RsdfmError, match="at least one"):
        perception.segment([])


def test_fused_maps_survive_their_message_form(perception: Perception, bevs: list[AgentBev]) -> None:
    fused = perception.fuse(bevs[0], bevs[1:], [0.0, 0.0])
    values, scale = perception.quantise_fused(fused)
    back = perception.dequantise_fused(values, scale, fused.visible.numpy())
    assert (back.features - fused.features).abs().max() <= scale.max() * 0.51
    with pytest.raises(RsdfmError, match="expected a fused map"):
        perception.dequantise_fused(values[:, :5], scale, fused.visible.numpy())


@pytest.mark.parametrize("image", [np.zeros((64, 96), np.uint8), np.zeros((64, 96, 3), np.float32)])
def test_a_picture_of_another_kind_is_refused(perception: Perception, image: np.ndarray) -> None:
    with pytest.raises(RsdfmError, match="RGB"):
        perception.perceive(image, K, oblique_camera())


def test_a_saved_model_loads_to_the_same_answers(tmp_path: Path, perception: Perception) -> None:
    save_model(tmp_path, perception.model, {"about": "test"})
    loaded = Perception.load(tmp_path)
    image, T = view(2)
    assert torch.equal(loaded.perceive(image, K, T).features, perception.perceive(image, K, T).features)
    assert loaded.config == CONFIG and loaded.manifest["about"] == "test"
    assert 0 < loaded.fingerprint < 2**64
    assert loaded.fingerprint == Perception.load(tmp_path).fingerprint
    assert loaded.fingerprint != Perception.random(CONFIG, seed=2).fingerprint


def test_damaged_missing_and_foreign_models_are_refused(tmp_path: Path, perception: Perception) -> None:
    with pytest.raises(ModelStoreError, match="no model at"):
        load_model(tmp_path / "nowhere")
    folder = save_model(tmp_path / "a", perception.model, {})
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelStoreError, match="damaged"):
        load_model(folder)
    weights.unlink()
    with pytest.raises(ModelStoreError, match="has a manifest but no"):
        load_model(folder)
    other = save_model(tmp_path / "b", RSDFM(dataclasses.replace(CONFIG, high_channels=6)), {})
    manifest = read_manifest(other)
    manifest["config"] = CONFIG.to_dict()
    write_manifest(other, manifest)
    with pytest.raises(ModelStoreError, match="does not fit"):
        load_model(other)
    (other / "manifest.yaml").write_text("format: 99\n")
    with pytest.raises(ModelStoreError, match="format 1"):
        load_model(other)


def test_who_dominates_a_cell_sees_it_and_is_named_only_on_request(
    perception: Perception, bevs: list[AgentBev]
) -> None:
    plain = perception.fuse(bevs[0], bevs[1:], [0.1, 0.2])
    assert plain.dominant is None
    fused = perception.fuse(bevs[0], bevs[1:], [0.1, 0.2], with_dominant=True)
    torch.testing.assert_close(fused.features, plain.features)
    assert fused.dominant is not None and fused.dominant.dtype == torch.uint8
    dominant = fused.dominant.numpy()
    assert ((dominant > 0) == fused.visible.numpy()).all()
    assert set(np.unique(dominant)) == {0, 1, 2, 3}
    for number, bev in enumerate(bevs):
        assert bev.visible.numpy()[dominant == number + 1].all()
        alone = bev.visible & ~torch.stack([b.visible for b in bevs if b is not bev]).any(dim=0)
        assert (dominant[alone.numpy()] == number + 1).all()
