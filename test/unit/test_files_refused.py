"""Files that nobody can use: every reader refuses them in one sentence, in little time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.data.bags.files import find_files
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.presets import locate
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.reading import load_fleet, parse_override
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.manifest import read_manifest
from rsdfm_ros.nodes.uav.model import plug_ins_of
from rsdfm_ros.training.config import load_training_config

LIMIT_S = 5.0
"""Of CPU time, which does not depend on how busy the machine is; reading takes about a second at most."""

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
USELESS: dict[str, bytes] = {
    "no UTF-8": b"name: \xff\xfe\n",
    "binary": bytes(range(256)),
    "NUL": b"name: a\0b\n",
    "list": b"[1, 2]\n",
    "number": b"5\n",
    "text": b"just words\n",
    "two documents": b"a: 1\n---\na: 2\n",
    "unfinished": b"model: [\n",
    "500 braces": b"name: " + b"{" * 500,
    "500 nested mappings": b"name: " + b"{a: " * 500 + b"1" + b"}" * 500,
    "3000 brackets": b"name: " + b"[" * 3000,
    "3000 nested lists": b"name: " + b"[" * 3000 + b"]" * 3000,
    "3000 nested block lists": b"name:\n" + b"- " * 3000 + b"1\n",
    "5000 digits": b"name: " + b"9" * 5000,
    "5000 hexadecimal digits": b"name: 0x" + b"f" * 5000,
    "base 60": b"name: " + b"1:" * 50_000 + b"1",
    "base 60 with a fraction": b"name: " + b"1:" * 50_000 + b"1.5",
    "laughs": LAUGHS.encode(),
    "contains itself": b"name: &a [*a]\n",
    "unknown alias": b"name: *nothing\n",
    "no date": b"name: 2001-99-99\n",
    "empty integer": b"name: !!int ''\n",
    "no bool": b"name: !!bool maybe\n",
    "object": b"name: !!python/object/apply:os.system [ls]\n",
    "directives": b"".join(b"%%TAG !a%d! b\n" % n for n in range(60_000)) + b"---\nname: a\n",
    "large": b"name: a\n" + b"# comment\n" * 2_000_000,
    "many values": b"name: [" + b"1," * 300_000 + b"1]\n",
    "list for a key": b"? [1, 2]\n: 3\n",
}
READERS: dict[str, Callable[[Path], Any]] = {
    "fleet": load_fleet,
    "topic map": load_map,
    "model": load_model_config,
    # `training:` may be left out, not the settings of the model in the same file.
    "training": lambda file: (load_training_config(file), load_model_config(file)),
    "manifest": lambda file: read_manifest(file.parent),
    "data": locate,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "manifest.yaml"


@pytest.mark.parametrize("kind", USELESS)
@pytest.mark.parametrize("reader", READERS)
def test_a_useless_file_is_refused_in_one_sentence_that_names_it(reader: str, kind: str, file: Path) -> None:
    file.write_bytes(USELESS[kind])
    begin = time.thread_time()
    with pytest.raises(RsdfmError) as refusal:
        READERS[reader](file)
    assert time.thread_time() - begin < LIMIT_S
    sentence = str(refusal.value)
    assert len(sentence.splitlines()) == 1 and len(sentence) < 1000
    assert file.name in sentence or "setting" in sentence


@pytest.mark.parametrize("kind", USELESS)
def test_a_bag_is_read_without_useless_metadata(kind: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_bytes(USELESS[kind])
    (tmp_path / "flight_0.mcap").write_bytes(b"")
    begin = time.thread_time()
    found = find_files(tmp_path)
    assert time.thread_time() - begin < LIMIT_S
    assert [path.name for path in found.paths] == ["flight_0.mcap"]
    assert "metadata.yaml: cannot be used" in found.damage[0] and len(found.damage[0]) < 1000


@pytest.mark.parametrize("kind", USELESS)
def test_tasks_of_a_useless_model_are_unknown_and_raise_nothing(kind: str, file: Path) -> None:
    file.write_bytes(USELESS[kind])
    assert plug_ins_of(str(file.parent)) == () == plug_ins_of(f"random:{file}")


@pytest.mark.parametrize(
    "value", ["[" * 3000, "9" * 5000, "0x" + "f" * 5000, "2001-99-99", "&a [*a]", "\udcff"]
)
def test_useless_values_of_options_are_refused(value: str) -> None:
    with pytest.raises(RsdfmError, match=r"world\.frames: .* is no YAML value"):
        parse_override(f"world.frames={value}")
