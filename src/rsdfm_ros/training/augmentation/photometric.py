"""Photometric augmentation: what optics, sensor and processing of a real camera do to an image, by seed.

Order as in a camera. In linear light: motion blur, white balance, vignetting, veiling glare and lens flare, photon
(shot) and read noise; then the tone curve back to 8 bits, sharpening, and JPEG. No pixel moves, apart from the blur,
which is symmetric about every pixel. Images are (H, W, 3) uint8 RGB, linear ones float32 from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.settings import setting

Image = NDArray[np.uint8]
Linear = NDArray[np.float32]
Range = tuple[float, float]

DISPLAY_GAMMA = 2.2
"""Linear light is the pixel value to this power."""
_TONE_LEVELS = 4096
_BANK = 1 << 21
_COARSE = 8
"""Glare and vignetting vary slowly: they are made at 1/8 of the resolution."""
_VEIL = np.array([0.8, 0.78, 0.74], np.float32)
"""Colour of veiling glare."""
_ROWS = 32
"""So many rows at a time: small arrays stay in the cache, large ones cost more in page faults than in arithmetic."""


class PhotometricError(RsdfmError):
    """Settings of the photometric augmentation that cannot be used."""


def _share(default: float, text: str) -> float:
    return setting(default, text, low=0.0, high=1.0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PhotometricConfig:
    """`training.photometric`: the share of the images that an effect changes, and its range, drawn from per image."""

    noise_share: float = _share(0.6, "share of images with photon and read noise")
    shot: Range = setting(
        (0.0, 0.004), "variance of photon noise per unit of linear light", low=0.0, high=0.1
    )
    read: Range = setting((0.0, 0.01), "standard deviation of read noise, 1 is white", low=0.0, high=0.2)
    blur_share: float = _share(0.2, "share of images with motion blur")
    blur_px: Range = setting((1.0, 5.0), "length of the blur in pixels", low=0.0, high=31.0)
    white_balance_share: float = _share(0.6, "share of images with another white balance")
    white_balance: Range = setting(
        (-0.25, 0.25), "logarithm of the gain of red and of blue", low=-1.0, high=1.0
    )
    vignetting_share: float = _share(0.4, "share of images with vignetting")
    vignetting: Range = setting((0.05, 0.5), "loss of light in the corners", low=0.0, high=0.95)
    glare_share: float = _share(0.15, "share of images with veiling glare")
    glare: Range = setting((0.02, 0.25), "share of the light that is scattered evenly", low=0.0, high=0.9)
    flare_share: float = _share(0.1, "share of images with lens flare")
    flare: Range = setting((0.05, 0.4), "light at the middle of the flare, 1 is white", low=0.0, high=2.0)
    tone_share: float = _share(0.6, "share of images with another tone curve")
    gamma: Range = setting((0.75, 1.35), "exponent of the tone curve", low=0.2, high=5.0)
    contrast: Range = setting((-0.3, 0.6), "weight of the S-curve of the tone curve", low=-1.0, high=1.0)
    sharpening_share: float = _share(0.3, "share of images that are sharpened")
    sharpening: Range = setting((0.2, 1.2), "amount of the unsharp mask", low=0.0, high=5.0)
    jpeg_share: float = _share(0.5, "share of images that went through JPEG")
    jpeg_quality: Range = setting((35.0, 95.0), "quality of JPEG", low=1.0, high=100.0)

    def check(self, where: str) -> None:
        """Refuses ranges whose lower end is the larger."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise PhotometricError(
                    f"training setting {where}{field.name}: expected the lower value first, got {list(value)}"
                )


def photometric(image: Image, config: PhotometricConfig, rng: np.random.Generator) -> Image:
    """The image as another camera might have taken it; a pure function of its arguments and the state of `rng`."""

    def drawn(share: float, limits: Range) -> float | None:
        hit, value = rng.random() < share, float(rng.uniform(*limits))
        return value if hit else None

    vignetting = drawn(config.vignetting_share, config.vignetting)
    glare = drawn(config.glare_share, config.glare)
    flare = drawn(config.flare_share, config.flare)
    blur, angle = drawn(config.blur_share, config.blur_px), float(rng.uniform(0, math.pi))
    red = drawn(config.white_balance_share, config.white_balance)
    blue = float(rng.uniform(*config.white_balance))
    shot, read = drawn(config.noise_share, config.shot), float(rng.uniform(*config.read))
    gamma, contrast = drawn(config.tone_share, config.gamma), float(rng.uniform(*config.contrast))
    amount = drawn(config.sharpening_share, config.sharpening)
    quality = drawn(config.jpeg_share, config.jpeg_quality)

    levels = linear_table((1.0, 1.0, 1.0) if red is None else (math.exp(red), 1.0, math.exp(blue)))
    table = tone_curve(*((1.0, 0.0) if gamma is None else (gamma, contrast)))
    lens = None
    if vignetting is not None or glare is not None or flare is not None:
        lens = make_lens(image.shape[:2], vignetting or 0.0, glare or 0.0, flare or 0.0, rng)
    normal = None if shot is None else _normals(image.shape, rng)
    blurred = None if blur is None else motion_blur(to_linear(image, levels), blur, angle)
    out = np.empty_like(image)
    for first in range(0, len(image), _ROWS):
        rows = slice(first, min(first + _ROWS, len(image)))
        light = to_linear(image[rows], levels) if blurred is None else blurred[rows]
        if lens is not None:
            light = lens.through(light, rows)
        if normal is not None and shot is not None:
            light = add_noise(light, shot, read, normal[rows])
        out[rows] = to_display(light, table)
    if amount is not None:
        out = sharpen(out, amount)
    return out if quality is None else jpeg(out, round(quality))


def colour_jitter(image: Image, rng: np.random.Generator) -> Image:
    """Random gain per channel, brightness, contrast and gamma, as one table look-up."""
    gamma = np.exp(rng.uniform(-0.25, 0.25))
    gain = np.exp(rng.uniform(-0.2, 0.2)) * np.exp(rng.uniform(-0.06, 0.06, 3))
    offset = rng.uniform(-15.0, 15.0)
    levels = (np.arange(256) / 255.0) ** gamma * 255.0
    table = np.clip(levels[:, None] * gain + offset, 0, 255).astype(np.uint8)
    return np.stack([table[:, c][image[..., c]] for c in range(3)], axis=-1)


def linear_table(gains: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Linear:
    """Linear light (256, 1, 3) by pixel value, with a gain per channel (white balance)."""
    levels = (np.arange(256, dtype=np.float32) / 255.0) ** np.float32(DISPLAY_GAMMA)
    return levels[:, None, None] * np.array(gains, np.float32)


def to_linear(image: Image, table: Linear) -> Linear:
    """Linear light of an image by a table of :func:`linear_table`."""
    return np.asarray(cv2.LUT(image, table), np.float32)


def tone_curve(gamma: float = 1.0, contrast: float = 0.0) -> Image:
    """Pixel values (levels,) after a tone curve, by the square root of linear light from 0 to 1.

    Pixel value x from 0 to 1 becomes y = x^gamma, then y + contrast · (y² (3 - 2 y) - y): rising for |contrast| <= 1.
    The square root spreads dark levels, of which a table over light itself has too few.
    """
    y = (np.arange(_TONE_LEVELS) / (_TONE_LEVELS - 1.0)) ** (2.0 * gamma / DISPLAY_GAMMA)
    y = y + contrast * (y * y * (3.0 - 2.0 * y) - y)
    return np.round(255.0 * y).astype(np.uint8)


def to_display(light: Linear, table: Image) -> Image:
    """8-bit image of linear light by a table of :func:`tone_curve`; light beyond 0 to 1 is clipped; the array is
    changed."""
    top = len(table) - 1
    light *= top**2
    root = np.sqrt(np.clip(light, 0.0, top**2, out=light), out=light)
    root += 0.5
    return np.asarray(np.take(table, root.astype(np.uint16)), np.uint8)


@cache
def _normal() -> Linear:
    """Standard normal numbers, drawn once: an image takes a stretch of them from a random place on."""
    return np.random.default_rng(0).standard_normal(_BANK, dtype=np.float32)


def _normals(shape: tuple[int, ...], rng: np.random.Generator) -> Linear:
    size = math.prod(shape)
    bank = _normal() if size < _BANK // 2 else np.resize(_normal(), 2 * size)
    start = int(rng.integers(len(bank) - size))
    return bank[start : start + size].reshape(shape)


def add_noise(light: Linear, shot: float, read: float, normal: Linear) -> Linear:
    """Light with photon noise of variance shot · light and read noise of standard deviation `read`.

    normal: standard normal numbers of its shape. Source: the Poisson-Gaussian model of Foi et al., IEEE TIP 17 (10),
    2008, in its approximation by a normal distribution.
    """
    deviation = light * np.float32(shot)
    deviation += read * read
    np.sqrt(deviation, out=deviation)
    deviation *= normal
    deviation += light
    return deviation


def motion_blur(light: Linear, length_px: float, angle_rad: float) -> Linear:
    """Light averaged along a line of a length and direction, symmetric about each pixel."""
    half = math.ceil(0.5 * length_px)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = 4 * half + 1
    for t in (
        (np.arange(steps) + 0.5) / steps - 0.5
    ) * length_px:  # bilinear weights of points along the line
        x, y = half + t * math.cos(angle_rad), half + t * math.sin(angle_rad)
        i, j = min(int(y), 2 * half - 1), min(int(x), 2 * half - 1)
        v, u = y - i, x - j
        kernel[i : i + 2, j : j + 2] += np.outer((1 - v, v), (1 - u, u)).astype(np.float32) / steps
    return np.asarray(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


@dataclass(frozen=True)
class Lens:
    """What optics do to an image of a size (height, width): gain and added light, (h, w, 3) at a coarse resolution, or
    added light (3,) that is the same everywhere."""

    size: tuple[int, int]
    gain: Linear
    added: Linear

    def through(self, light: Linear, rows: slice) -> Linear:
        """Some rows of the image after the lens; the array is changed."""
        scale = (
            np.array(self.gain.shape[:2]) - 1
        ) / self.size  # the nodes at the ends are the edges of the image
        shift = scale * (rows.start + 0.5, 0.5)
        to_coarse = np.array([[scale[1], 0.0, shift[1]], [0.0, scale[0], shift[0]]])
        for coarse, combine in ((self.gain, np.multiply), (self.added, np.add)):
            if coarse.ndim == 1:
                combine(light, coarse, out=light)
                continue
            full = cv2.warpAffine(
                coarse, to_coarse, light.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            combine(light, full, out=light)
        return light


def make_lens(
    size: tuple[int, int], vignetting: float, glare: float, flare: float, rng: np.random.Generator
) -> Lens:
    """A lens with vignetting (loss in the corners, growing with the square of the radius), veiling glare (share of
    the light that is scattered evenly) and lens flare (a glow and ghosts on the line from a light beside the image
    through its middle)."""
    height, width = size
    h, w = (n // _COARSE + 2 for n in size)
    corner = 0.5 * math.hypot(height, width)
    x = np.linspace(-0.5 * width / corner, 0.5 * width / corner, w, dtype=np.float32)
    y = np.linspace(-0.5 * height / corner, 0.5 * height / corner, h, dtype=np.float32)[:, None]
    gain = (1.0 - glare) * (1.0 - vignetting * (x * x + y * y))
    added = np.asarray(glare * _VEIL, np.float32)
    if flare > 0:
        added = added + np.float32(flare) * _flare(x, y, rng)
    return Lens(size, np.repeat(gain[..., None], 3, 2).astype(np.float32), added)


def _flare(x: Linear, y: Linear, rng: np.random.Generator) -> Linear:
    """Glow and ghosts (h, w, 3) of a light beside the image; x and y are 1 in the corners' distance."""
    angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(0.7, 1.3)
    sx, sy = distance * math.cos(angle), distance * math.sin(angle)
    warm = np.array([1.0, 0.93, 0.8], np.float32)
    out = np.exp(-np.hypot(x - sx, y - sy) / 0.35)[..., None] * warm
    for place in rng.uniform(-1.2, 0.6, int(rng.integers(2, 6))):
        radius, colour = rng.uniform(0.05, 0.22), rng.uniform(0.2, 1.0, 3)
        r = np.hypot(x - place * sx, y - place * sy)
        out = out + 0.5 * np.clip((radius - r) / 0.04 + 0.5, 0, 1)[..., None] * colour
    return np.asarray(out, np.float32)


def sharpen(image: Image, amount: float) -> Image:
    """Unsharp mask with a Gaussian of 1 pixel."""
    soft = cv2.GaussianBlur(image, (5, 5), 1.0)
    return np.asarray(cv2.addWeighted(image, 1.0 + amount, soft, -amount, 0.0), np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """The image after JPEG with 4:2:0 chroma, as cameras and video links write it."""
    good, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality)
    )
    assert good
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
