"""Times of reading an image on this machine: every encoding, JPEG and PNG, rectification.

python -m benchmarks.inputs [--size 1920x1080] [--threads 2] [--json out.json]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.timing import median_ms
from rsdfm_ros.data.messages.compressed import image_from_compressed
from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.views.rectify import Rectifier
from rsdfm_ros.outputs import write_json


def scene(width: int, height: int) -> np.ndarray:
    """An image (H, W, 3) with edges and texture, so that JPEG has something to do."""
    rng = np.random.default_rng(0)
    blocks = cv2.resize(rng.integers(0, 255, (height // 40, width // 40, 3), np.uint8), (width, height))
    return np.clip(blocks + rng.normal(0, 6, blocks.shape), 0, 255).astype(np.uint8)


def raw(encoding: str, width: int, height: int, *, big_endian: bool = False) -> Any:
    """A message-like object of that encoding."""
    kind = ENCODINGS[encoding]
    step = width * kind.channels * kind.bits // 8
    rng = np.random.default_rng(1)
    data = rng.integers(0, 255, int(height * kind.rows) * step, np.uint8)
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=big_endian, data=data
    )


def info(width: int, height: int, model: str, d: tuple[float, ...]) -> Any:
    """A camera_info-like object of a camera with distortion."""
    k = np.array([[0.6 * width, 0, width / 2], [0, 0.6 * width, height / 2], [0, 0, 1]])
    return SimpleNamespace(
        height=height,
        width=width,
        distortion_model=model,
        d=d,
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )


def run(width: int, height: int) -> dict[str, float]:
    """Milliseconds by what is read."""
    times = {}
    for encoding in ENCODINGS:
        message = raw(encoding, width, height)
        times[encoding] = median_ms(lambda message=message: image_from_message(message))
    big = raw("mono16", width, height, big_endian=True)
    times["mono16, big-endian"] = median_ms(lambda: image_from_message(big))
    image = scene(width, height)
    for name, extension in (("JPEG, quality 90", ".jpg"), ("PNG", ".png")):
        options = [cv2.IMWRITE_JPEG_QUALITY, 90] if extension == ".jpg" else []
        data = cv2.imencode(extension, image, options)[1].tobytes()
        message = SimpleNamespace(format="", data=data)
        times[f"{name} ({len(data) / 1e6:.1f} MB)"] = median_ms(
            lambda message=message: image_from_compressed(message), 7
        )
    lenses = (("plumb_bob", (-0.2, 0.05, 0.0, 0.0, 0.0)), ("equidistant", (0.02, -0.01, 0.0, 0.0)))
    for model, d in lenses:
        camera, rectifier = info(width, height, model, d), Rectifier()
        times[f"{model}, each image"] = median_ms(lambda c=camera, r=rectifier: r(image, c))
        times[f"{model}, when camera_info changes"] = median_ms(lambda c=camera: Rectifier()(image, c), 5)
    return times


def main() -> int:
    """Print a table, and JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1920x1080", metavar="WxH", help="of the images, pixels")
    parser.add_argument("--threads", type=int, default=2, help="threads of OpenCV (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times as JSON")
    arguments = parser.parse_args()
    width, height = (int(v) // 2 * 2 for v in arguments.size.split("x"))
    cv2.setNumThreads(arguments.threads)
    times = run(width, height)
    table = Table("input", "ms", title=f"{width} x {height} pixels, {arguments.threads} threads")
    for name, ms in times.items():
        table.add_row(name, f"{ms:.2f}")
    Console().print(table)
    if arguments.json:
        write_json(arguments.json, {"size": [width, height], "ms": times})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
