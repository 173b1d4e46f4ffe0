"""The dual-branch codec: quantisation, selection, fill, and gradients that reach the score."""

from __future__ import annotations

import pytest
import torch

from rsdfm_ros.model.compression import Compression, cell_priority, quantise, top_cells
from rsdfm_ros.model.config import ModelConfig

CONFIG = ModelConfig("test", channels=16, low_channels=4, high_channels=8, window_tiles=(0, 0, 2, 2))


@pytest.fixture
def codec() -> Compression:
    torch.manual_seed(0)
    return Compression(CONFIG)


@pytest.fixture
def bev() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    visible = torch.rand(2, 1, 32, 32, generator=generator) > 0.3
    return torch.randn(2, 16, 32, 32, generator=generator) * visible, visible


def test_quantise_gives_bounded_integers_within_half_a_step() -> None:
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    z, step = quantise(x, 15)
    assert torch.equal(z.detach(), z.detach().round())
    assert z.abs().max() <= 15
    assert ((z * step - x).abs() <= step / 2 + 1e-6).all()
    (gradient,) = torch.autograd.grad((z * step).sum(), x)
    assert torch.allclose(gradient, torch.ones_like(x))


def test_quantise_ignores_cells_outside_the_mask_for_its_step() -> None:
    x = torch.ones(1, 1, 4, 4)
    x[0, 0, 0, 0] = 100.0
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, 0, 0] = False
    _, step = quantise(x, 10, mask)
    assert step.item() == pytest.approx(0.1)


def test_exactly_the_best_allowed_cells_are_sent(bev: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, visible = bev
    score = torch.randn(visible.shape, generator=torch.Generator().manual_seed(2))
    sent = top_cells(score, visible, 100)
    assert sent.flatten(1).sum(1).tolist() == [100, 100]
    assert not (sent & ~visible).any()
    worst_sent = score[0][sent[0]].min()
    assert (score[0][visible[0] & ~sent[0]] <= worst_sent).all()
    assert torch.equal(top_cells(score, visible, 10**6), visible)
    assert not top_cells(score, visible, 0).any()


def test_the_score_learns_from_what_is_behind_it(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    maps, visible = bev
    simulated = codec.simulate(maps, visible, 200)
    ((simulated.decoded - maps) ** 2).mean().backward()
    for parameter in codec.score.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    assert simulated.sent.any()


def test_every_part_of_the_codec_has_a_gradient(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    decoded = codec.simulate(*bev, 200).decoded
    (decoded * torch.randn_like(decoded)).sum().backward()
    missing = [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_the_gate_changes_no_value(codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]) -> None:
    simulated, latents = codec.simulate(*bev, 150), codec.encode(*bev)
    high = latents.high * latents.high_step
    plain = codec.decode(latents.low * latents.low_step, high, simulated.sent, bev[1])
    assert torch.allclose(simulated.decoded, plain, atol=1e-5)


def test_without_the_low_band_only_tiles_with_a_sent_cell_are_told(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    maps, visible = bev
    got = codec.simulate(maps, visible, 5, low=False, coarseness=(3, 4))
    for v in range(len(maps)):
        for i in range(0, maps.shape[2], 16):
            for j in range(0, maps.shape[3], 16):
                tile = (v, 0, slice(i, i + 16), slice(j, j + 16))
                expected = visible[tile] & bool(got.sent[tile].any())
                assert torch.equal(got.told[tile], expected)
    assert got.told.any() and not torch.equal(got.told, visible)
    latents = codec.encode(maps, visible, low=False)
    coarse = (latents.high / 4).round() * 4 * latents.high_step
    plain = codec.decode(torch.zeros_like(latents.low), coarse, got.sent, got.told)
    assert torch.allclose(got.decoded, plain, atol=1e-5)


def test_even_cells_of_the_checkerboard_go_first_and_no_cell_is_lost() -> None:
    score = torch.full((1, 1, 16, 16), 4.0)
    visible = torch.ones_like(score, dtype=torch.bool)
    even = (torch.arange(16)[:, None] + torch.arange(16)) % 2 == 0
    assert torch.equal(top_cells(cell_priority(score), visible, 128)[0, 0], even)
    assert top_cells(cell_priority(score), visible, 256).all()
    score[..., 3, 4] = 9.0  # odd, but worth no more than its neighbours twice over
    assert not top_cells(cell_priority(score), visible, 128)[0, 0, 3, 4]
    score[..., even] = -2.0
    assert top_cells(cell_priority(score), visible, 1)[0, 0, 3, 4]


def test_nothing_appears_where_the_sender_saw_nothing(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    decoded = codec.simulate(*bev, 300).decoded
    assert decoded[~bev[1].expand_as(decoded)].abs().max() == 0


def test_fill_spreads_by_distance_and_keeps_what_was_sent(codec: Compression) -> None:
    x, sent = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    x[..., 4, 4], sent[..., 4, 4] = 5.0, True
    lam = codec.log_decay.exp()
    out = codec.fill(x, sent).detach()
    assert out[0, 0, 4, 4] == 5.0
    for di, dj in [(0, 1), (1, 1), (2, 0), (2, 2)]:
        expected = 5.0 * torch.exp(-(lam**2) * (di**2 + dj**2))
        assert out[0, 0, 4 + di, 4 + dj].item() == pytest.approx(expected.item(), rel=1e-5)
    assert out[0, 0, 4, 7] == 0.0
    everywhere = codec.fill(torch.full((1, 1, 9, 9), 3.0), torch.rand(1, 1, 9, 9) > 0.2).detach()
    assert everywhere.max() <= 3.0 + 1e-5


def test_fill_in_latent_space_equals_fill_after_decoding(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    latents = codec.encode(*bev)
    sent = top_cells(latents.score, bev[1], 200)
    before = codec.high_decode(codec.fill(latents.high * sent, sent))
    after = codec.fill(codec.high_decode(latents.high * sent), sent)
    assert torch.allclose(before, after, atol=1e-4)


def test_more_cells_reconstruct_better_after_a_few_steps_of_training(
    codec: Compression, bev: tuple[torch.Tensor, torch.Tensor]
) -> None:
    maps, visible = bev
    optimiser = torch.optim.Adam(codec.parameters(), 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        ((codec.simulate(maps, visible, 400).decoded - maps) ** 2).mean().backward()
        optimiser.step()
    with torch.no_grad():
        decoded = [codec.simulate(maps, visible, n).decoded for n in (0, 100, 400)]
        errors = [((d - maps) ** 2).mean().item() for d in decoded]
    assert errors[0] > errors[1] > errors[2]
