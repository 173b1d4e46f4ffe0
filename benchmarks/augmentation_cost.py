"""Time of the photometric augmentation per training image, beside that of the colour jitter, alternating.

python -m benchmarks.augmentation_cost [--size 448x256] [--images 300]
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time

import cv2
import numpy as np

from rsdfm_ros.training.augmentation.photometric import PhotometricConfig, colour_jitter, photometric


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.augmentation_cost", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--size", default="448x256", metavar="WxH", help="default: %(default)s")
    parser.add_argument("--images", type=int, default=300, help="default: %(default)s")
    args = parser.parse_args(argv)
    found = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})", args.size)
    if not found or args.images < 1:
        parser.error(
            f"--size {args.size} --images {args.images}: expected WIDTHxHEIGHT and at least one image"
        )
    width, height = int(found[1]), int(found[2])
    cv2.setNumThreads(1)
    rough = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(rough, (0, 0), 3.0), np.uint8)
    config = PhotometricConfig()
    times: dict[str, list[float]] = {"colour jitter": [], "photometric": []}
    for n in range(-20, args.images):  # the first ones warm up
        for name, seconds in times.items():
            rng = np.random.default_rng(n + 20)
            start = time.process_time()
            _ = colour_jitter(image, rng) if name == "colour jitter" else photometric(image, config, rng)
            if n >= 0:
                seconds.append(time.process_time() - start)
    median, mean = ({k: 1e3 * f(v) for k, v in times.items()} for f in (statistics.median, statistics.fmean))
    for name in times:
        print(f"{name}: median {median[name]:.2f} ms, mean {mean[name]:.2f} ms of one core per image")
    print(f"ratio of the means: {mean['photometric'] / mean['colour jitter']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
