"""Compressed images are read whole, by what they hold and not by what their format says; damaged ones are refused."""

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
from rsdfm_ros.data.messages.errors import MessageError
from support.input_messages import compressed
from support.painted_images import RGB, H, W, encode, mosaic_of, smooth


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
