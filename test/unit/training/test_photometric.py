"""Photometric augmentation: repeatable, in range, in place, and each effect against an independent reference."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig, load_model_config
from rsdfm_ros.training.augmentation.photometric import (
    Image,
    PhotometricConfig,
    PhotometricError,
    add_noise,
    jpeg,
    linear_table,
    make_lens,
    motion_blur,
    photometric,
    sharpen,
    to_display,
    to_linear,
    tone_curve,
)
from rsdfm_ros.training.config import TrainingConfig, load_training_config
from rsdfm_ros.training.samples import TrunkSampler
from support.places import ROOT
from support.training_data import FlatWorld

NOTHING = PhotometricConfig(**{f.name: 0.0 for f in fields(PhotometricConfig) if f.name.endswith("_share")})
EVERYTHING = PhotometricConfig(
    **{f.name: 1.0 for f in fields(PhotometricConfig) if f.name.endswith("_share")}
)


def picture(height: int = 128, width: int = 224, seed: int = 1) -> Image:
    rough = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 3.0), np.uint8)


def only(effect: str, **limits: tuple[float, float]) -> PhotometricConfig:
    return replace(NOTHING, **{f"{effect}_share": 1.0}, **limits)  # type: ignore[arg-type]


@given(st.integers(0, 2**63), st.integers(2, 70), st.integers(2, 90), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_size_and_seed_gives_an_image_of_the_size_that_the_seed_determines(
    seed: int, height: int, width: int, strong: bool
) -> None:
    image = picture(height, width, seed % 1000)
    before = image.copy()
    config = EVERYTHING if strong else PhotometricConfig()
    first, again = (photometric(image, config, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == image.shape and first.dtype == np.uint8
    assert np.array_equal(first, again) and np.array_equal(image, before)


def test_other_seeds_give_other_images() -> None:
    image = picture()
    made = {photometric(image, EVERYTHING, np.random.default_rng(seed)).tobytes() for seed in range(12)}
    assert len(made) == 12


def test_without_effects_every_pixel_value_stays() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, 2)
    assert np.array_equal(photometric(ramp, NOTHING, np.random.default_rng(0)), ramp)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_moves(seed: int) -> None:
    """The shift between the image and the changed one, by the enhanced correlation coefficient."""
    image = picture(192, 256, seed)
    changed = photometric(image, replace(EVERYTHING, flare_share=0.0), np.random.default_rng(seed))
    grey = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in (image, changed)]
    _, found = cv2.findTransformECC(*grey, np.eye(2, 3, dtype=np.float32), cv2.MOTION_TRANSLATION)
    assert np.abs(found[:, 2]).max() < 0.1


def test_noise_has_the_variance_of_photons_and_of_reading() -> None:
    rng, shot, read = np.random.default_rng(5), 0.004, 0.01
    for level in (0.0, 0.1, 0.4, 0.9):
        light = np.full((200, 200, 3), level, np.float32)
        noisy = add_noise(light, shot, read, rng.standard_normal(light.shape, np.float32))
        assert noisy.mean() == pytest.approx(level, abs=0.001)
        assert noisy.var() == pytest.approx(shot * level + read**2, rel=0.03)


def test_noise_follows_counted_photons() -> None:
    """Quantiles against draws of Poisson and normal numbers."""
    rng, shot, read, level = np.random.default_rng(6), 0.002, 0.005, 0.3
    light = np.full((300, 300, 3), level, np.float32)
    counted = shot * rng.poisson(level / shot, light.shape) + rng.normal(0, read, light.shape)
    noisy = add_noise(light, shot, read, rng.standard_normal(light.shape, np.float32))
    shares = [0.02, 0.25, 0.5, 0.75, 0.98]
    assert np.quantile(noisy, shares) == pytest.approx(np.quantile(counted, shares), abs=0.003)


def test_noise_of_an_image_larger_than_the_bank_of_numbers_is_whole() -> None:
    image = np.full((900, 1000, 3), 128, np.uint8)
    out = photometric(image, only("noise", shot=(0.01, 0.01)), np.random.default_rng(0))
    assert out.std(axis=(0, 1)).min() > 2 and out[-50:].std() > 2


@given(st.integers(1, 100))
@settings(max_examples=20, deadline=None)
def test_jpeg_is_that_of_another_library(quality: int) -> None:
    image = picture(64, 96, quality)
    data = io.BytesIO()
    Pillow.fromarray(image).save(data, "JPEG", quality=quality, subsampling="4:2:0")
    other = np.asarray(Pillow.open(data).convert("RGB")).astype(int)
    assert np.abs(jpeg(image, quality).astype(int) - other).mean() < 2.0


def test_lower_quality_loses_more() -> None:
    image = picture()
    loss = [np.abs(jpeg(image, q).astype(int) - image).mean() for q in (95, 70, 40, 10)]
    assert loss == sorted(loss) and loss[0] < 2.0


@given(st.floats(0.2, 5.0), st.floats(-1.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_tone_curves_rise_from_black_to_white(gamma: float, contrast: float) -> None:
    table = tone_curve(gamma, contrast).astype(int)
    assert table[0] == 0 and table[-1] == 255 and (np.diff(table) >= 0).all()


@pytest.mark.parametrize("gamma", [0.6, 1.0, 1.7])
def test_gamma_is_the_exponent_of_pixel_values(gamma: float) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    out = to_display(to_linear(ramp, linear_table()), tone_curve(gamma))
    expected = 255.0 * (ramp / 255.0) ** gamma
    assert np.abs(out - expected).max() < 1.0


def test_white_balance_scales_light_of_red_and_blue_alone() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    out = photometric(grey, only("white_balance", white_balance=(0.2, 0.2)), np.random.default_rng(0))[0, 0]
    expected = 100 * np.exp(0.2 / 2.2)
    assert out[1] == 100 and abs(out[0] - expected) <= 1 and abs(out[2] - expected) <= 1


@given(st.floats(0.0, 0.95), st.sampled_from([(256, 448), (64, 96), (33, 47)]))
@settings(max_examples=20, deadline=None)
def test_vignetting_takes_its_share_in_the_corners_and_nothing_in_the_middle(
    loss: float, size: tuple[int, int]
) -> None:
    lens = make_lens(size, loss, 0.0, 0.0, np.random.default_rng(0))
    light = lens.through(np.ones((*size, 3), np.float32), slice(0, size[0]))
    h, w = size
    assert light[h // 2, w // 2] == pytest.approx(1.0, abs=0.05)
    assert light[0, 0] == pytest.approx(1.0 - loss, abs=0.08 * loss + 1e-4)
    along = light[h // 2, w // 2 :, 0]
    assert (np.diff(along) <= 1e-5).all()


def test_a_lens_does_the_same_to_all_rows_at_once_and_to_some_at_a_time() -> None:
    size = (100, 140)
    lens = make_lens(size, 0.4, 0.1, 0.4, np.random.default_rng(3))
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    whole = lens.through(image.copy(), slice(0, 100))
    parts = [lens.through(image[a : a + 30].copy(), slice(a, min(a + 30, 100))) for a in range(0, 100, 30)]
    assert np.abs(np.concatenate(parts) - whole).max() < 0.01


def test_glare_lifts_black_and_lowers_contrast_evenly() -> None:
    lens = make_lens((64, 96), 0.0, 0.2, 0.0, np.random.default_rng(0))
    black = lens.through(np.zeros((64, 96, 3), np.float32), slice(0, 64))
    white = lens.through(np.ones((64, 96, 3), np.float32), slice(0, 64))
    assert black.min() > 0.1 and np.ptp(black[..., 0]) < 1e-5
    assert white - black == pytest.approx(np.full((64, 96, 3), 0.8), abs=1e-5)


def test_flare_only_adds_light_and_not_everywhere() -> None:
    lens = make_lens((128, 192), 0.0, 0.0, 0.4, np.random.default_rng(2))
    added = lens.through(np.zeros((128, 192, 3), np.float32), slice(0, 128))
    assert added.min() >= 0 and added.max() > 4 * np.median(added)


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6, 3.0])
def test_blur_spreads_a_point_along_its_direction_and_keeps_its_light(angle: float) -> None:
    length = 6.0
    light = np.zeros((41, 41, 3), np.float32)
    light[20, 20] = 1.0
    out = motion_blur(light, length, angle)[..., 0].astype(np.float64)
    assert out.sum() == pytest.approx(1.0, abs=1e-5)
    y, x = np.mgrid[-20:21, -20:21]
    along, across = x * np.cos(angle) + y * np.sin(angle), x * np.sin(angle) - y * np.cos(angle)
    assert (out * x).sum() == pytest.approx(0, abs=1e-4) and (out * y).sum() == pytest.approx(0, abs=1e-4)
    # variance of an even spread, and that of bilinear weights
    assert (out * along**2).sum() == pytest.approx(length**2 / 12, abs=0.3)
    assert (out * across**2).sum() < 0.3


def test_sharpening_steepens_edges_and_leaves_even_areas() -> None:
    image = np.full((20, 40, 3), 80, np.uint8)
    image[:, 20:] = 160
    out = sharpen(image, 1.0)
    assert out[10, 19, 0] < 80 and out[10, 20, 0] > 160
    assert (out[:, :12] == 80).all() and (out[:, 30:] == 160).all()


def test_ranges_are_given_with_the_lower_value_first() -> None:
    with pytest.raises(PhotometricError, match=r"photometric.gamma: expected the lower value first, got \[2"):
        PhotometricConfig(gamma=(2.0, 1.0)).check("photometric.")


def test_photometric_augmentation_changes_images_and_nothing_else() -> None:
    model = ModelConfig("tiny", image_height=64, image_width=96)
    plain = TrainingConfig(seed=3)
    changed = replace(plain, photometric=PhotometricConfig(jpeg_share=1.0))
    a, b, again = (
        TrunkSampler(FlatWorld(), model, config)[5]  # type: ignore[arg-type]
        for config in (plain, changed, changed)
    )
    assert not np.array_equal(a.images, b.images) and np.array_equal(b.images, again.images)
    for name in ("K", "T_map_camera", "covariance", "ages_s", "heights", "agents"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name
    assert np.array_equal(a.truth.objects[0].centres, b.truth.objects[0].centres)


def test_photometric_settings_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("training: {photometric: {jpeg_share: 0.25, gamma: [0.9, 1.1]}}")
    photometric = load_training_config(path).photometric
    assert photometric == PhotometricConfig(jpeg_share=0.25, gamma=(0.9, 1.1))
    path.write_text("training: {photometric: {}}")
    assert load_training_config(path).photometric == PhotometricConfig()
    for wrong, words in (
        ("{jpeg_share: 2}", "photometric.jpeg_share: expected 0 to 1, got 2"),
        ("{gamma: [1.1, 0.9]}", "photometric.gamma: expected the lower value first"),
        ("{fog: 1}", "unknown training settings photometric.fog"),
        ("5", "photometric.: expected a mapping, got 5"),
    ):
        path.write_text(f"training: {{photometric: {wrong}}}")
        with pytest.raises(RsdfmError, match=words):
            load_training_config(path)


def test_the_shipped_configuration_for_varied_data_differs_from_the_usual_one_in_the_augmentation_alone() -> (
    None
):
    usual, varied = (
        load_training_config(ROOT / f"config/model/{name}.yaml") for name in ("nano", "nano_varied")
    )
    assert varied == replace(usual, photometric=PhotometricConfig())
    models = [load_model_config(ROOT / f"config/model/{name}.yaml") for name in ("nano", "nano_varied")]
    assert models[0] == models[1]
