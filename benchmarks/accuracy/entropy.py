"""Entropy coding of feature packets: size of the contents of real packets after each coder."""

from __future__ import annotations

import bz2
import importlib.util
import lzma
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.section import Section
from benchmarks.page import number, table
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.scenes import DatasetScene
from rsdfm_ros.wire.body import bands_of, tables_of
from rsdfm_ros.wire.budget import Plan, apply_plan
from rsdfm_ros.wire.encode import ZSTD_LEVEL
from rsdfm_ros.wire.features import CELLS_PER_TILE, FeatureFrame
from rsdfm_ros.wire.header import FIXED_BYTES, HALF_BYTES, WORD_BYTES, Header, fields_of
from rsdfm_ros.wire.packet import MAX_DENSE_PACKET_BYTES, FeaturePart, decode_packet, encode_frame
from rsdfm_ros.wire.tables import PRECISION

PLANS = {
    100: Plan(100, low=False, coarseness=(3, 4)),
    300: Plan(300, low=False, coarseness=(3, 4)),
    700: Plan(700, coarseness=(3, 4)),
    1_500: Plan(1_500),
    4_000: Plan(4_000),
}
"""Plans by number of cells sent: about 1, 2, 5, 14 and 31 kB per frame."""
FRAMES = (3, 11)
"""Frames of each scene from which packets are taken."""
OURS = f"as sent: zstd {ZSTD_LEVEL}, rANS"
ADAPTIVE = "adaptive model of every channel, nothing known"
PART = "part "
"""Before the names of the parts of packets, in bytes."""

FIXED, SCALES, TABLES = "header", "scales", "frequency tables"
BODY, GAPS = "tiles, visibility and cells per tile", "places of cells"
LOW, HIGH, STATES = "low latents", "high latents", "states of the coders"
PARTS = (FIXED, SCALES, TABLES, BODY, GAPS, LOW, HIGH, STATES)
"""Parts of packets, in the order of the table."""

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
    """Order-0 entropy of the symbols in bytes: the size after an ideal static arithmetic coder with known counts."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / counts.sum()
    return float(-(counts * np.log2(shares)).sum() / 8.0) if len(symbols) else 0.0


def adaptive_bytes(symbols: NDArray[Any], alphabet: int) -> float:
    """Size in bytes after an ideal adaptive arithmetic coder that begins without knowledge and learns the frequencies
    of `alphabet` values from the symbols before (Krichevsky-Trofimov estimator)."""
    counts = np.zeros(alphabet)
    _, found = np.unique(symbols, return_counts=True)
    counts[: len(found)] = found
    start = gammaln(alphabet / 2) - gammaln(len(symbols) + alphabet / 2)
    return float(-(start + (gammaln(counts + 0.5) - gammaln(0.5)).sum()) / np.log(2) / 8.0)


def measure(frame: FeatureFrame) -> dict[str, float]:
    """Bytes of the contents of one frame's packet by coder and by part, the estimates, and milliseconds of the CPU."""
    places = frame.high_tile.astype(np.int64) * CELLS_PER_TILE + frame.high_cell
    first = np.diff(frame.high_tile, prepend=-1) > 0
    gaps = np.where(first, frame.high_cell, np.diff(places, prepend=-1) - 1)
    low = frame.low.transpose(1, 0, 2, 3).reshape(frame.low.shape[1], -1)[: None if frame.has_low else 0]
    visible = np.packbits(frame.visible.reshape(len(frame.tiles), -1), axis=1)
    side = frame.tiles.T.astype("<i2").tobytes() + visible.tobytes() + frame.counts.astype("<u2").tobytes()
    plain = side + gaps.astype(np.uint8).tobytes() + low.tobytes() + frame.high.T.tobytes()
    sizes = {"uncompressed": float(len(plain))}
    for name, code in coders().items():
        start = time.thread_time()
        sizes[name] = float(len(code(plain)))
        sizes[f"ms {name}"] = (time.thread_time() - start) * 1e3
    start = time.thread_time()
    packets = encode_frame(frame, MAX_DENSE_PACKET_BYTES)
    sizes[f"ms {OURS}"] = (time.thread_time() - start) * 1e3
    scales = HALF_BYTES * (len(low) + frame.high.shape[1])
    sizes[OURS] = float(sum(map(len, packets)) - len(packets) * (FIXED_BYTES + scales))
    rest = len(zstandard.compress(side, 19))
    static = sum(entropy_bytes(channel) for channel in (*low, *frame.high.T, gaps))
    sizes["entropy of every channel, tables known"] = static + rest
    bands = [band for band in (low, frame.high.T, gaps[None]) if band.size]
    ranges = [int(band.max()) - int(band.min()) + 1 for band in bands]
    learnt = sum(adaptive_bytes(row, n) for band, n in zip(bands, ranges, strict=True) for row in band)
    sizes[ADAPTIVE] = learnt + rest
    return sizes | {PART + name: size for name, size in parts(frame, packets).items()}


def parts(frame: FeatureFrame, packets: list[bytes]) -> dict[str, float]:
    """Bytes of a frame's packets by part. Symbols count with what an ideal coder makes of them with the tables sent;
    what the words take beyond that is the price of the states of our coder."""
    found = dict.fromkeys(PARTS, 0.0)
    names = (GAPS, LOW, HIGH)
    for packet in packets:
        header = Header.of(fields_of(packet))
        part = decode_packet(packet)
        assert isinstance(part, FeaturePart)
        bands = bands_of(part.frame, header.has_low)
        filled = [(name, band) for name, band in zip(names, bands, strict=True) if band.size]
        found[STATES] += WORD_BYTES * header.words - header.carried_bytes
        for (name, band), known in zip(filled, tables_of(bands), strict=True):
            shares = np.take_along_axis(known.frequencies(), band.astype(np.int64) - known.lo, axis=1)
            ideal = float((PRECISION - np.log2(shares)).sum()) / 8.0
            found[name] += ideal
            found[STATES] -= ideal
        found[FIXED] += FIXED_BYTES
        found[SCALES] += HALF_BYTES * header.scales
        found[TABLES] += header.tables_bytes
        found[BODY] += header.body_bytes
    return found


def run(bench: Bench, store: Store) -> None:
    """One unit per number of cells."""
    scenes = bench.part_scenes()
    for cells, plan in PLANS.items():
        store.unit(str(cells), lambda p=plan: _mean(bench, scenes, p))


def _mean(bench: Bench, scenes: list[DatasetScene], plan: Plan) -> dict[str, float]:
    found: list[dict[str, float]] = []
    for scene in scenes:
        for k in (k for k in FRAMES if k < scene.frames):
            for view in scene.load(k).views:
                bev = bench.perception.perceive(view.image, view.K, view.T_map_camera, view.covariance)
                frame = bench.perception.compress(bev, plan.cells, low=plan.low)
                found.append(measure(apply_plan(frame, plan)))
    return {"packets": float(len(found)), **{n: float(np.mean([f[n] for f in found])) for n in found[0]}}


def tables(content: Content) -> str:
    """Bytes relative to zstd 1 by coder and number of cells, the time of the largest frames, how far packets are from
    the adaptive model, and their bytes by part."""
    cells = sorted(content, key=int)
    names = [n for n in content[cells[0]] if n != "packets" and not n.startswith(("ms ", PART))]
    heads = ["contents of a packet", *(f"{c} cells" for c in cells), f"CPU ms at {cells[-1]}"]
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
    above = [100 * (content[c][OURS] / content[c][ADAPTIVE] - 1) for c in cells]
    lines.append(["as sent, above the adaptive model", *(f"{number(a, 1, sign=True)} %" for a in above), "–"])
    by_part = [
        [name, *(number(content[c][PART + name], 0) for c in cells)]
        for name in PARTS
        if any(content[c][PART + name] for c in cells)
    ]
    whole = [sum(content[c][PART + name] for name in PARTS) for c in cells]
    by_part.append(["whole packets", *(number(size, 0) for size in whole)])
    return table(heads, lines) + "\n\n" + table(["bytes of packets, by part", *heads[1:-1]], by_part)


SECTION = Section("entropy", "Entropy coding", run, tables, scored=False)
