"""Provenance of results: facts that are noted, facts that are not, and numbers in sentences with their nouns."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rsdfm_ros import __version__
from rsdfm_ros import provenance as origin
from rsdfm_ros.words import command_line, counted

CPUINFO = (
    "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu avx2 avx512f amx_tile\n\nprocessor\t: 1\n"
)


def test_a_result_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    words = ["/opt/venv/lib/rsdfm_ros/cli.py", "demo", "--out", "a folder"]
    told = origin.provenance(seed=9000, model=tmp_path, fingerprint=0xF00D, command=words)
    assert told["command"] == "rsdfm demo --out 'a folder'" and told["seed"] == 9000
    assert told["version"] == __version__
    assert datetime.fromisoformat(told["date"]).utcoffset() == timedelta(0)
    assert told["model"]["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert told["model"]["fingerprint"] == "000000000000f00d"
    assert set(told["machine"]) == {
        "cpu", "cores", "memory_gb", "instruction_sets", "os", "python", "torch",
    }  # fmt: skip
    assert told["machine"]["cores"] >= 1
    assert json.loads(json.dumps(told)) == told


def test_what_is_not_known_is_none() -> None:
    told = origin.provenance(model="random:config/model/nano.yaml", command=["ros2"])
    assert told["seed"] is None and told["command"] == "ros2"
    assert told["model"] == {
        "folder": "random:config/model/nano.yaml",
        "weights_sha256": None,
        "fingerprint": None,
    }
    assert origin.provenance()["model"] is None


def test_neither_person_nor_machine_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home" / "ada"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(platform, "node", lambda: "adas-laptop")
    told = origin.provenance(
        model=home / "models" / "mine", command=["rsdfm", "demo", "--out", str(home / "out")]
    )
    assert told["command"] == "rsdfm demo --out ~/out" and told["model"]["folder"] == "~/models/mine"
    assert "ada" not in json.dumps({k: told[k] for k in ("command", "model")})
    assert "adas-laptop" not in json.dumps(told)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/people/ada/out", "~/out"),
        ("/mnt/people/ada/out", "/mnt/people/ada/out"),
        ("/people/ada/my runs", "~/'my runs'"),
        ("/people/ada/Läufe", "~/'Läufe'"),
        ("random:/people/ada/m.yaml", "random:~/m.yaml"),
        ("/people/adam/out", "/people/adam/out"),
    ],
)
def test_a_path_below_home_is_told_as_a_shell_expands_it(
    typed: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/people/ada")
    assert command_line(["rsdfm", typed]) == f"rsdfm {told}"


def test_a_machine_is_told_by_processor_and_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: CPUINFO if str(self) == "/proc/cpuinfo" else real(self, *a, **k),
    )
    found = origin.machine()
    assert found["cpu"] == "A Processor" and found["instruction_sets"] == ["AVX2", "AVX-512", "AMX"]
    facts = {**found, "cores": 1, "memory_gb": 8.0, "os": "Linux", "python": "3.11", "torch": None}
    assert (
        origin.machine_words(facts)
        == "A Processor · 1 core · 8 GB · AVX2, AVX-512, AMX · Linux · Python 3.11"
    )
    assert origin.machine_words(facts, short=True) == "A Processor · 1 core · 8 GB · Linux"


def test_a_machine_without_proc_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **more: object) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", refuse)
    found = origin.machine()
    assert found["cpu"] and found["instruction_sets"] == []


def test_the_commit_is_that_of_a_checkout_and_says_whether_files_were_changed(tmp_path: Path) -> None:
    assert origin.commit_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    commit = origin.commit_of(tmp_path)
    assert commit is not None and len(commit) == 40
    (tmp_path / "file").write_text("2")
    assert origin.commit_of(tmp_path) == f"{commit}-dirty"
    (tmp_path / ".git" / "HEAD").write_text("damaged")
    assert origin.commit_of(tmp_path) is None


def test_numbers_have_their_nouns() -> None:
    assert [counted(n, "peer") for n in (0, 1, 2)] == ["0 peers", "1 peer", "2 peers"]
    assert counted(2, "is", "are") == "2 are"
