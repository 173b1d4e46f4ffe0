"""Images of every encoding become the same RGB image; what contradicts itself or is damaged is refused by reason."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.messages.compressed import image_from_compressed
from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import MAX_SIDE, image_from_message
from support.input_messages import compressed, image
from support.painted_images import RGB, RNG, H, W, encode, mosaic_of, smooth, wide


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [
        ("rgb", [0, 1, 2]),
        ("bgr", [2, 1, 0]),
        ("rgba", [0, 1, 2, 0]),
        ("bgra", [2, 1, 0, 0]),
    ],
)
def test_colours_are_put_in_order_at_both_depths_and_byte_orders(encoding: str, channels: list[int]) -> None:
    stored = RGB[..., channels]
    assert np.array_equal(image_from_message(image(stored, f"{encoding}8", W, H)), RGB)
    for big in (False, True):
        message = image(wide(stored, big), f"{encoding}16", W, H, big_endian=big)
        assert np.array_equal(image_from_message(message), RGB)


@pytest.mark.parametrize(("untyped", "typed"), [("8UC3", "bgr8"), ("8UC4", "bgra8"), ("8UC1", "mono8")])
def test_untyped_images_are_read_as_opencv_orders_them(untyped: str, typed: str) -> None:
    n = int(untyped[-1])
    stored = RNG.integers(0, 256, (H, W, n), dtype=np.uint8)
    got = image_from_message(image(stored, untyped, W, H))
    assert np.array_equal(got, image_from_message(image(stored, typed, W, H)))
    deep = image_from_message(image(wide(stored), untyped.replace("8U", "16U"), W, H))
    assert np.array_equal(deep, got)


def test_mono_images_are_grey_and_their_significant_bits_are_used() -> None:
    grey = RGB[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(image_from_message(image(grey, "mono8", W, H)), expected)
    assert np.array_equal(image_from_message(image(wide(grey), "mono16", W, H)), expected)
    twelve = np.round(grey * (4095 / 255)).astype("<u2")
    got = image_from_message(image(twelve, "mono16", W, H), significant_bits=12)
    assert np.array_equal(got, expected)
    # More than the bits that were promised is white, not wrapped around.
    loud = image(np.full((H, W), 65_535, "<u2"), "mono16", W, H)
    assert (image_from_message(loud, significant_bits=12) == 255).all()


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_hand_made_mosaic_gives_back_the_picture(pattern: str, bits: int) -> None:
    rgb = smooth()
    mosaic = mosaic_of(rgb, pattern)
    stored = mosaic if bits == 8 else wide(mosaic)
    got = image_from_message(image(stored, f"bayer_{pattern}{bits}", W, H)).astype(int)
    inner = np.s_[2:-2, 2:-2]
    # A shifted pattern swaps red and blue, which differ by up to 100 here.
    assert np.abs(got[inner] - rgb[inner]).max() <= 3


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("height", "width"), [(H - 1, W - 1), (H - 1, W), (H, W - 1), (3, 3)])
def test_a_mosaic_of_odd_size_gives_an_image_of_that_size(pattern: str, height: int, width: int) -> None:
    rgb = smooth()[:height, :width]
    mosaic = mosaic_of(rgb, pattern)
    messages = [image(mosaic, f"bayer_{pattern}8", width, height)]
    messages += [image(wide(mosaic), f"bayer_{pattern}16", width, height)]
    raw = [image_from_message(m) for m in messages]
    said = f"bayer_{pattern}8; png compressed "
    for got in (*raw, image_from_compressed(compressed(encode(mosaic, ".png"), said))):
        assert got.shape == (height, width, 3)
        # The outermost pixels are those beside them, which differ by up to three steps of this image.
        assert np.abs(got.astype(int) - rgb).max() <= 3 + 9


def test_a_422_image_of_odd_height_is_read() -> None:
    rgb = smooth()[: H - 1]
    planes = yuv(rgb)
    chroma = np.stack([planes[:, ::2, 1], planes[:, ::2, 2]], axis=-1).reshape(H - 1, W)
    for encoding, order in (("yuv422_yuy2", [planes[..., 0], chroma]), ("uyvy", [chroma, planes[..., 0]])):
        got = image_from_message(image(np.stack(order, axis=-1), encoding, W, H - 1))
        assert got.shape == (H - 1, W, 3) and np.abs(got.astype(int) - rgb).max() <= 8


def yuv(image: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, video range, by its definition."""
    r, g, b = (image[..., c].astype(float) / 255 for c in range(3))
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    return np.round(np.stack([y, u, v], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
def test_yuv_cameras_give_the_picture(encoding: str) -> None:
    rgb = smooth()
    planes = yuv(rgb)
    y, u, v = planes[..., 0], planes[..., 1], planes[..., 2]
    rows = H
    if encoding.startswith("nv"):
        order = (u, v) if encoding == "nv12" else (v, u)
        chroma = np.stack([c[::2, ::2] for c in order], axis=-1).reshape(H // 2, W)
        stored = np.concatenate([y, chroma])
        rows = H + H // 2
    else:
        chroma = np.stack([u[:, ::2], v[:, ::2]], axis=-1).reshape(H, W)
        stored = np.stack([chroma, y] if encoding in ("yuv422", "uyvy") else [y, chroma], axis=-1)
    message = image(stored, encoding, W, H, step=stored.nbytes // rows)
    got = image_from_message(message).astype(int)
    assert np.abs(got - rgb).max() <= 8


@pytest.mark.parametrize("encoding", ["rgb8", "mono16", "bayer_rggb8", "yuyv", "bgr16", "nv12"])
def test_padding_at_the_end_of_rows_is_skipped(encoding: str) -> None:
    kind = ENCODINGS[encoding]
    rows, row = int(H * kind.rows), W * kind.channels * kind.bits // 8
    stored = RNG.integers(0, 256, (rows, row), dtype=np.uint8)
    padded = np.concatenate([stored, RNG.integers(0, 256, (rows, 6), dtype=np.uint8)], axis=1)
    tight = image_from_message(image(stored, encoding, W, H, step=row))
    assert np.array_equal(image_from_message(image(padded, encoding, W, H, step=row + 6)), tight)


def test_an_rgb8_image_is_not_copied() -> None:
    message = image(RGB, "rgb8", W, H)
    message.data = bytearray(message.data)
    assert np.shares_memory(image_from_message(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "changes", "reason", "says"),
    [
        ("32FC1", {}, "image_encoding", "expected one of mono8"),
        ("", {}, "image_encoding", "bayer_rggb8"),
        ("rgb8", {"step": 3 * W - 1}, "image_size", "at least 120"),
        ("rgb8", {"step": 0}, "image_size", "at least 120"),
        ("rgb8", {"height": H + 1}, "image_size", "3000 bytes"),
        ("rgb8", {"height": 0}, "image_size", "1 to"),
        ("rgb8", {"width": 0}, "image_size", "1 to"),
        ("rgb8", {"width": MAX_SIDE + 1}, "image_size", "pixels a side"),
        ("rgb8", {"width": 16_000, "height": 16_000}, "image_size", "in all"),
        ("rgb8", {"data": b""}, "image_size", "got 0"),
        ("mono16", {"step": 2 * W + 1}, "image_size", "whole values"),
        ("bayer_rggb8", {"height": 2}, "image_size", "at least 3 pixels a side"),
        ("yuyv", {"width": W - 1}, "image_size", "even width for yuyv"),
        ("nv12", {"width": W - 1}, "image_size", "even width and height"),
        ("nv12", {"height": H - 1}, "image_size", "even width and height"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused(
    encoding: str, changes: dict, reason: str, says: str
) -> None:
    message = image(RGB, encoding, W, H)
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(MessageError, match=says) as caught:
        image_from_message(message)
    assert caught.value.reason == reason
