"""Mutated files of settings and models: content or one sentence, whatever a value, a token or the weights become."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.reading import load_fleet
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.manifest import MANIFEST
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import WEIGHTS, load_model, save_model
from rsdfm_ros.training.config import load_training_config
from support.places import ROOT
from support.tiny_model import CONFIG
from support.yaml_mutations import with_other_tokens, with_other_values

ROUNDS = 80
LIMIT_S = 5.0
"""Of CPU time; see test_files_refused.py."""


def read(reader: Callable[[], Any]) -> str:
    """The sentence of a refusal, "" for content."""
    begin, sentence = time.thread_time(), ""
    try:
        reader()
    except RsdfmError as error:
        sentence = str(error)
        assert sentence and len(sentence.splitlines()) == 1 and len(sentence) < 2000
    assert time.thread_time() - begin < LIMIT_S
    return sentence


@pytest.mark.parametrize(
    ("file", "reader"),
    [
        ("config/fleet/demo.yaml", load_fleet),
        ("config/fleet/realtime.yaml", load_fleet),
        ("config/model/nano.yaml", load_model_config),
        ("config/model/layout.yaml", load_training_config),
    ],
)
def test_mutated_settings_are_read_or_refused_in_one_sentence(
    file: str, reader: Callable[[Path], Any], tmp_path: Path
) -> None:
    rng, text = np.random.default_rng(3), (ROOT / file).read_bytes()
    path, refused = tmp_path / "a.yaml", 0
    for _ in range(ROUNDS):
        if rng.random() < 0.6:
            path.write_text(yaml.safe_dump(with_other_values(rng, yaml.safe_load(text)), allow_unicode=True))
        else:
            path.write_bytes(with_other_tokens(rng, text))
        refused += bool(read(lambda: reader(path)))
    assert 0.2 * ROUNDS < refused < ROUNDS


def test_mutated_model_folders_are_loaded_or_refused_in_one_sentence(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(4), save_model(tmp_path / "model", RSDFM(CONFIG), {"thresholds": {}})
    manifest, weights = yaml.safe_load((folder / MANIFEST).read_text()), (folder / WEIGHTS).read_bytes()
    assert read(lambda: load_model(folder)) == ""
    size = int.from_bytes(weights[:8], "little")
    header, refused = json.loads(weights[8 : 8 + size]), 0
    for _ in range(ROUNDS):
        changed, data = manifest, weights
        way = rng.integers(3)
        if way == 0:
            changed = with_other_values(rng, manifest)
        elif way == 1:
            other = json.dumps(with_other_values(rng, header)).encode()
            data = len(other).to_bytes(8, "little") + other + weights[8 + size :]
        else:
            damaged = bytearray(weights[: rng.integers(len(weights)) if rng.random() < 0.2 else len(weights)])
            for at in rng.integers(0, max(1, min(len(damaged), 2 * size)), 3) if damaged else ():
                damaged[at] = rng.integers(256)
            data = bytes(damaged)
        if way:  # a hash that fits: what is wrong must be found by what reads the weights
            changed = {**manifest, "weights_sha256": hashlib.sha256(data).hexdigest()}
        (folder / WEIGHTS).write_bytes(data)
        (folder / MANIFEST).write_text(yaml.safe_dump(changed, allow_unicode=True))
        refused += bool(read(lambda: load_model(folder)))
    assert 0.5 * ROUNDS < refused < ROUNDS
