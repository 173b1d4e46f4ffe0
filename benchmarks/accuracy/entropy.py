"""Entropy coding of feature packets: what each coder makes of the bodies of real packets."""

from __future__ import annotations

import bz2
import importlib.util
import lzma
import math
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.page import number, table
from benchmarks.accuracy.section import Content, Section, Store
from rsdfm_ros.evaluation.scenes import DatasetScene
from rsdfm_ros.wire.body import high_body, low_body
from rsdfm_ros.wire.budget import trim
from rsdfm_ros.wire.features import CELLS_PER_TILE, FeatureFrame

CELLS = (100, 700, 1_500, 4_000)
"""About 2.5, 10, 18 and 45 kB per frame."""
TILES = {100: 8}
"""Tiles of the low band where not all of them are sent."""
FRAMES = (3, 11)
"""Frames of each scene from which packets are taken."""

LEVELS = 15
"""Latents of the shipped model are integers in ±LEVELS."""

Coder = Callable[[bytes], bytes]


def coders() -> dict[str, Coder]:
    """Coders by name: zstd at several levels, those of the standard library, and brotli where it is installed."""
    found: dict[str, Coder] = {f"zstd {n}": zstandard.ZstdCompressor(level=n).compress for n in (1, 3, 9, 19)}
    found["zlib 9"] = lambda data: zlib.compress(data, 9)
    found["bz2 9"] = lambda data: bz2.compress(data, 9)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    found["lzma 9"] = lambda data: lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)
    if importlib.util.find_spec("brotli"):
        import brotli

        found["brotli 11"] = lambda data: bytes(brotli.compress(data, quality=11))
    return found


def entropy_bytes(symbols: NDArray[Any]) -> float:
    """Order-0 entropy of the symbols in bytes: what an ideal static arithmetic coder needs that knows their counts."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / counts.sum()
    return float(-(counts * np.log2(shares)).sum() / 8.0) if len(symbols) else 0.0


def adaptive_bytes(symbols: NDArray[Any], alphabet: int, start: float = 0.05) -> float:
    """What an adaptive arithmetic coder needs that learns the counts as it goes, from `start` for every symbol, and
    knows nothing before: Σ −log2 of what it gives the symbol that comes. symbols: integers in [0, alphabet)."""
    counts, total, bits = [start] * alphabet, start * alphabet, 0.0
    for symbol in symbols.tolist():
        bits -= math.log2(counts[symbol] / total)
        counts[symbol] += 1.0
        total += 1.0
    return bits / 8.0


def measure(frame: FeatureFrame) -> dict[str, float]:
    """Bytes of one frame's bodies by coder, low and high band together, and the estimates."""
    counts = np.bincount(frame.high_tile, minlength=len(frame.tiles))
    bodies = [
        low_body(frame.low, frame.visible),
        high_body(counts[counts > 0], frame.high_cell, frame.high),
    ]
    sizes = {"uncompressed": float(sum(map(len, bodies)))}
    for name, code in coders().items():
        start = time.perf_counter()
        sizes[name] = float(sum(len(code(body)) for body in bodies))
        sizes[f"ms {name}"] = (time.perf_counter() - start) * 1e3
    places = frame.high_tile.astype(np.int64) * CELLS_PER_TILE + frame.high_cell
    gaps = np.minimum(np.diff(places, prepend=-1), 255)
    visible = np.packbits(frame.visible.reshape(len(frame.tiles), -1), axis=1)
    zstd = zstandard.ZstdCompressor(level=1).compress
    rest = len(zstd(visible.tobytes()))
    static = adaptive = 0.0
    for band in (frame.low.transpose(1, 0, 2, 3).reshape(frame.low.shape[1], -1), frame.high.T):
        for channel in band:
            static += entropy_bytes(channel)
            least, most = int(channel.min(initial=-LEVELS)), int(channel.max(initial=LEVELS))
            adaptive += adaptive_bytes(channel.astype(np.int64) - least, most - least + 1)
    sizes["indices as they are"] = float(len(places))
    sizes["indices, gaps, adaptive"] = adaptive_bytes(gaps, 256)
    sizes["arithmetic, static per channel"] = static + rest + entropy_bytes(gaps)
    sizes["arithmetic, adaptive per channel"] = adaptive + rest + sizes["indices, gaps, adaptive"]
    return sizes


def run(bench: Bench, store: Store) -> None:
    """One unit per number of cells."""
    scenes = bench.part_scenes()
    for cells in CELLS:
        store.unit(str(cells), lambda c=cells: _mean(bench, scenes, c))


def _mean(bench: Bench, scenes: list[DatasetScene], cells: int) -> dict[str, float]:
    found: list[dict[str, float]] = []
    for scene in scenes:
        for k in (k for k in FRAMES if k < scene.frames):
            for view in scene.load(k).views:
                bev = bench.perception.perceive(view.image, view.K, view.T_map_camera, view.covariance)
                frame = bench.perception.compress(bev, cells)
                found.append(measure(trim(frame, TILES.get(cells, len(frame.tiles)))))
    return {"packets": float(len(found)), **{n: float(np.mean([f[n] for f in found])) for n in found[0]}}


def tables(content: Content) -> str:
    """Bytes relative to zstd 1 by coder and number of cells, and the time of the largest frames."""
    cells = sorted(content, key=int)
    names = [n for n in content[cells[0]] if n != "packets" and not n.startswith(("ms ", "indices"))]
    heads = ["bodies of both bands", *(f"{c} cells" for c in cells), f"ms at {cells[-1]}"]
    lines = []
    for name in names:
        base = [content[c]["zstd 1"] for c in cells]
        shares = [
            number(100 * (content[c][name] / b - 1), 1, sign=True) + " %"
            for c, b in zip(cells, base, strict=True)
        ]
        if name == "zstd 1":
            shares = [f"{b / 1000:.2f} kB" for b in base]
        lines.append([name, *shares, number(content[cells[-1]].get(f"ms {name}"), 1)])
    index = ["cell indices: delta coding would save", *(_index_share(content[c]) for c in cells), "–"]
    return table(heads, [*lines, index])


def _index_share(sizes: dict[str, float]) -> str:
    saved = sizes["indices as they are"] - sizes["indices, gaps, adaptive"]
    return number(100 * saved / sizes["zstd 1"], 1) + " %"


SECTION = Section("entropy", "Entropy coding", run, tables, scored=False)
