"""Model folders that nobody can use: refused in one sentence, before they take memory."""

from __future__ import annotations

import dataclasses
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model import store
from rsdfm_ros.model.config import ModelConfigError, model_config_from_dict
from rsdfm_ros.model.manifest import (
    MANIFEST,
    WEIGHTS,
    ModelStoreError,
    read_manifest,
    sha256_of,
    write_manifest,
)
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, save_model, warm_start
from support.painted import tiny_perception

CONFIG = tiny_perception().config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_model(tmp_path / "model", RSDFM(CONFIG), {"thresholds": {"segmentation": 0.4}})


def replace_weights(folder: Path, data: bytes) -> None:
    """Other weights, and their hash."""
    (folder / WEIGHTS).write_bytes(data)
    write_manifest(folder, {**read_manifest(folder), "weights_sha256": sha256_of(folder / WEIGHTS)})


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
USELESS_WEIGHTS: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"1234567",
    "a header that is no JSON": safetensors(b"{{{{{{{{"),
    "a header that is no UTF-8": safetensors(b"\xff\xfe\xff\xfe"),
    "a header that is a list": safetensors([1, 2]),
    "a header beyond the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "the longest header": b"\xff" * 64,
    "a long header": safetensors(json.dumps({"a": F32}).encode() + b" " * (2 << 20), bytes(8)),
    "a deep header": safetensors(b'{"a":' * 3000 + b"1" + b"}" * 3000),
    "a tensor beyond the file": safetensors({"a": F32}),
    "offsets that go back": safetensors({"a": {**F32, "data_offsets": [8, 0]}}, bytes(8)),
    "a shape beyond all memory": safetensors({"a": {**F32, "shape": [1 << 40, 1 << 40]}}, bytes(8)),
    "an unknown type": safetensors({"a": {**F32, "dtype": "F31"}}, bytes(8)),
    "other tensors": safetensors({"a": F32}, bytes(8)),
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.",
}


@pytest.mark.parametrize("kind", USELESS_WEIGHTS)
def test_useless_weights_are_refused_in_one_sentence(kind: str, folder: Path) -> None:
    replace_weights(folder, USELESS_WEIGHTS[kind])
    for read in (lambda: load_model(folder), lambda: warm_start(RSDFM(CONFIG), folder)):
        with pytest.raises(ModelStoreError) as refusal:
            read()
        assert WEIGHTS in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


def test_a_file_that_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "sha256_of", lambda path: pytest.fail("read the whole file"))
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(1 << 40)  # takes no space on the disk
    with pytest.raises(ModelStoreError, match=r"weights\.safetensors: expected at most \d+ bytes of weights"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.half(), "of float16, expected .* of float32"),
        (lambda t: t.to(torch.int64), "of int64, expected .* of float32"),
        (lambda t: t[None], r"is \(1, .*, expected"),
        (lambda t: t * float("nan"), "expected finite weights"),
        (lambda t: t + float("inf"), "expected finite weights"),
    ],
    ids=["half", "integers", "another dimension", "NaN", "infinite"],
)
def test_tensors_of_another_kind_are_refused(change: Any, words: str, folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(
        n for n, t in tensors.items() if n.startswith("neck.") and t.is_floating_point() and t.dim() == 4
    )
    tensors[name] = change(tensors[name])
    other = folder.parent / "other"
    save_file(tensors, other)
    replace_weights(folder, other.read_bytes())
    with pytest.raises(ModelStoreError, match=words):
        load_model(folder)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("thresholds", 5, "thresholds: expected numbers by name, got 5"),
        ("thresholds", None, "thresholds: expected numbers by name, got None"),
        (
            "thresholds",
            {"segmentation": "high"},
            r"thresholds\.segmentation: expected a number from -1 to 1, got 'high'",
        ),
        ("thresholds", {"segmentation": float("nan")}, r"thresholds\.segmentation: expected a number"),
        ("thresholds", {"segmentation": 7}, r"thresholds\.segmentation: expected a number"),
        ("config", 0, "config: expected model settings by name, got 0"),
        ("config", [1], "config: expected model settings by name"),
        ("weights_sha256", 5, "weights_sha256: expected a hash in quotes, got 5"),
        ("training", 5, "training: expected entries by name, got 5"),
        ("training", {"data": 5}, r"training\.data: expected entries by name, got 5"),
        ("training", {"data": {"seeds": 5}}, r"training\.data\.seeds: expected a list of integers"),
        ("added_heads", [5], "added_heads: expected entries by name"),
        ("added_heads", {"layout": 5}, r"added_heads\.layout: expected entries by name"),
        ("format", 2, "expected a manifest of format 1"),
    ],
)
def test_entries_of_a_manifest_are_checked(entry: str, value: Any, words: str, folder: Path) -> None:
    manifest = yaml.safe_load((folder / MANIFEST).read_text())
    write_manifest(folder, {**manifest, entry: value})
    for read in (read_manifest, load_model):
        with pytest.raises(ModelStoreError, match=words):
            read(folder)


def test_a_manifest_that_is_no_text_is_refused(folder: Path) -> None:
    for data in (b"\xff\xfe", b"5", b"", b"[" * 3000):
        (folder / MANIFEST).write_bytes(data)
        with pytest.raises(ModelStoreError, match=r"manifest\.yaml"):
            load_model(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"window_tiles": (-2000, -2000, 4000, 4000)},
            "window_tiles must span at most 1024 tiles, got 4000 x 4000",
        ),
        ({"window_tiles": (0, 0, 1025, 1)}, "at most 1024 tiles"),
        ({"window_tiles": (9000, 0, 1, 1)}, "window_tiles must lie within ±8192 tiles"),
        ({"window_tiles": (0, 0, 1, 0)}, "at least one tile"),
        ({"image_height": 0}, "image_height must be 32 to 4096, got 0"),
        ({"image_width": -32}, "image_width must be 32 to 4096"),
        ({"image_width": 1 << 40}, "image_width must be 32 to 4096"),
        ({"subcells": 0}, "subcells must be 1 to 8"),
        ({"channels": 1 << 30}, "channels must be 1 to 1024"),
        ({"encoder_widths": (8, 8, 8, 10**6)}, "encoder_widths must be 1 to 1024"),
        ({"encoder_widths": (8, 8)}, "encoder_widths must be four numbers"),
        ({"neck_widths": (0, 8, 8)}, "neck_widths must be 1 to 1024"),
        ({"cell_size_m": 0.0}, "cell_size_m must be 0.01 to 100"),
        ({"horizon": 10**6}, "horizon must be 1 to 64"),
        ({"heads": ("detection",) * 1000}, "at most 256 height .* bins and 32 heads"),
    ],
)
def test_a_configuration_beyond_the_limits_takes_no_memory(
    settings: dict[str, Any], words: str, folder: Path
) -> None:
    values = dataclasses.asdict(CONFIG) | settings
    tracemalloc.start()
    begin = time.thread_time()
    with pytest.raises(ModelConfigError, match=words):
        model_config_from_dict(values)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20 and time.thread_time() - begin < 2.0
    tracemalloc.stop()
    write_manifest(folder, {**read_manifest(folder), "config": json.loads(json.dumps(values))})
    with pytest.raises(RsdfmError, match=words) as refusal:
        load_model(folder)
    assert MANIFEST in str(refusal.value)


def test_the_largest_window_is_taken() -> None:
    assert (
        len(model_config_from_dict({"name": "a", "window_tiles": [-16, -16, 32, 32]}).window.tiles()) == 1024
    )
