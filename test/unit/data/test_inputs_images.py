"""Images of every encoding become the same RGB image; what contradicts itself or is damaged is refused by reason."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from rsdfm_ros.data.messages import compressed as reader
from rsdfm_ros.data.messages.compressed import image_from_compressed, size_of_file
from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import MAX_SIDE, image_from_message
from support.input_messages import compressed, image

H, W = 24, 40
RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)


def smooth() -> np.ndarray:
    """An image without detail: demosaicing and chroma subsampling lose nothing of it away from the edge."""
    v, u = np.mgrid[0:H, 0:W]
    return np.stack([60 + 3 * u, 200 - 2 * v - u, 40 + 2 * v + 2 * u], axis=-1).astype(np.uint8)


def wide(x: np.ndarray, big_endian: bool = False) -> np.ndarray:
    """8 bits as 16 with the same share of full scale."""
    return (x.astype(np.uint16) * 257).astype(">u2" if big_endian else "<u2")


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


def mosaic_of(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """A mosaic of an image of any size, by its definition: the top left 2 × 2 pixels, row by row."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for k, letter in enumerate(pattern):
        dy, dx = divmod(k, 2)
        mosaic[dy::2, dx::2] = rgb[dy::2, dx::2, "rgb".index(letter)]
    return mosaic


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


def encode(image: np.ndarray, extension: str, *options: int) -> bytes:
    return cv2.imencode(extension, image, list(options))[1].tobytes()


def test_png_is_exact_and_jpeg_is_close() -> None:
    image = smooth()
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    got = image_from_compressed(compressed(encode(bgr, ".png"), "rgb8; png compressed bgr8"))
    assert np.array_equal(got, image)
    for progressive in (0, 1):
        data = encode(bgr, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        got = image_from_compressed(compressed(data, "jpeg"))
        assert np.abs(got.astype(int) - image).max() <= 8


def test_a_publisher_that_hands_red_first_to_the_encoder_is_understood_by_its_format() -> None:
    image = smooth()
    data = encode(image, ".png")  # red where the file says blue
    assert np.array_equal(image_from_compressed(compressed(data, "rgb8; png compressed rgb8")), image)


def test_compressed_grey_deep_transparent_and_mosaic_images_are_understood() -> None:
    grey = smooth()[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(image_from_compressed(compressed(encode(grey, ".png"), "mono8; png")), expected)
    deep = encode(grey.astype(np.uint16) * 257, ".png")
    assert np.array_equal(image_from_compressed(compressed(deep, "mono16; png compressed")), expected)
    clear = np.dstack([smooth()[..., ::-1], np.full((H, W), 9, np.uint8)])
    assert np.array_equal(image_from_compressed(compressed(encode(clear, ".png"), "png")), smooth())
    mosaic = mosaic_of(smooth(), "gbrg")
    said = "bayer_gbrg8; png compressed "
    got = image_from_compressed(compressed(encode(mosaic, ".png"), said)).astype(int)
    assert np.abs(got[2:-2, 2:-2] - smooth()[2:-2, 2:-2]).max() <= 3


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_an_image_of_a_mosaic_that_was_made_grey_before_it_was_compressed_is_grey(extension: str) -> None:
    grey = RGB[..., 0]
    data = encode(grey, extension, *((cv2.IMWRITE_JPEG_QUALITY, 100) if extension == ".jpg" else ()))
    for said in ("bayer_rggb8; jpeg compressed mono8", "bayer_gbrg16;png compressed mono8"):
        got = image_from_compressed(compressed(data, said))
        assert np.abs(got.astype(int) - grey[..., None]).max() <= 2 and np.ptp(got, axis=2).max() == 0
    # The other way round, the target names the mosaic.
    coloured = image_from_compressed(compressed(data, "8UC1; png compressed bayer_rggb8"))
    assert np.ptp(coloured, axis=2).max() > 0


@pytest.mark.parametrize(
    "tail", [b"\x00" * 9, b"\x00\x12\x34\x56", b"\xff\xda" * 200, b"mp4 of a live photo " * 50]
)
def test_bytes_behind_the_end_of_an_image_do_not_count(tail: bytes) -> None:
    bgr = cv2.cvtColor(smooth(), cv2.COLOR_RGB2BGR)
    for extension, options in ((".jpg", ()), (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)), (".png", ())):
        data = encode(bgr, extension, *options)
        whole = image_from_compressed(compressed(data))
        assert np.array_equal(image_from_compressed(compressed(data + tail)), whole)
        with pytest.raises(
            MessageError, match="truncated"
        ):  # bytes behind what ends early make it no whole image
            image_from_compressed(compressed(data[:-8] + tail))


def test_the_end_of_a_thumbnail_is_not_that_of_the_image() -> None:
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x010E] = "\xff\xd9 of a thumbnail"
    PIL.Image.fromarray(smooth()).save(file, "jpeg", quality=98, exif=exif.tobytes() + encode(RGB, ".jpg"))
    data = file.getvalue()
    assert size_of_file(data) == (W, H)
    with pytest.raises(MessageError, match="truncated"):
        size_of_file(data[:-2])


def test_a_picture_is_not_turned_by_its_exif_orientation() -> None:
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90°
    PIL.Image.fromarray(smooth()).save(file, "jpeg", quality=98, exif=exif)
    got = image_from_compressed(compressed(file.getvalue()))
    assert got.shape == (H, W, 3) and np.abs(got.astype(int) - smooth()).max() <= 8


def bomb_png(width: int, height: int) -> bytes:
    """A well-formed PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def bomb_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encode(RGB, ".jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "data", [bomb_png(60_000, 60_000), bomb_png(2**31 - 1, 1), bomb_jpeg(65_000, 65_000)]
)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(reader.cv2, "imdecode", never)
    with pytest.raises(MessageError) as caught:
        image_from_compressed(compressed(data))
    assert caught.value.reason == "image_size"


def test_sizes_are_read_from_the_header_alone() -> None:
    assert size_of_file(encode(RGB, ".jpg")) == (W, H)
    assert size_of_file(encode(RGB, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1) + b"\x00" * 9) == (W, H)
    assert size_of_file(encode(RGB, ".png")) == (W, H)


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    data = encode(RGB, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(MessageError, match="scans"):
        image_from_compressed(compressed(data[:-2] + 80 * scan + data[-2:]))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_every_truncation_is_refused(extension: str) -> None:
    data = encode(RGB, extension)
    for length in [0, 1, 3, 8, 20, 33, 40, len(data) // 2, len(data) - 3, len(data) - 1]:
        with pytest.raises(MessageError) as caught:
            image_from_compressed(compressed(data[:length]))
        assert caught.value.reason == "image_compression", length


def test_damaged_and_foreign_files_are_refused_or_decoded_but_never_crash() -> None:
    rng, reasons = np.random.default_rng(5), set()
    for extension in (".jpg", ".png"):
        whole = encode(smooth(), extension)
        for _ in range(150):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(256)
            try:
                assert image_from_compressed(compressed(bytes(data))).ndim == 3
            except MessageError as error:
                reasons.add(error.reason)
    assert "image_compression" in reasons and reasons <= {"image_compression", "image_size"}
    for data in (b"GIF89a" + bytes(50), bytes(100), encode(RGB, ".bmp"), encode(RGB, ".webp")):
        with pytest.raises(MessageError, match="JPEG or PNG"):
            image_from_compressed(compressed(data, "other"))


def test_a_damaged_png_is_noticed_by_its_checksums() -> None:
    data = bytearray(encode(RGB, ".png"))
    at = data.index(b"IDAT") + 30
    data[at] ^= 0xFF
    with pytest.raises(MessageError, match="damaged"):
        image_from_compressed(compressed(bytes(data)))
