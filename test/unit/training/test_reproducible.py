"""The same seed gives the same weights, to the bit: twice, interrupted, and split over two processes alike."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
import yaml

from rsdfm_ros.model.store import load_model
from rsdfm_ros.training import command, stages
from support.training_data import FlatWorld
from support.training_runs import SETTINGS, arguments

State = dict[str, torch.Tensor]


#: Two steps of the first stage, and of the others as in SETTINGS.
BRIEF = {**SETTINGS, "training": {**SETTINGS["training"], "steps": 2, "temporal_steps": 2}}  # type: ignore[dict-item]


@pytest.fixture(scope="module", autouse=True)
def flat() -> Iterator[None]:
    with mock.patch.object(command, "open_usable", return_value=FlatWorld()):
        yield


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(BRIEF))
    return path


@pytest.fixture(scope="module")
def whole(config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> State:
    """The weights of a run in a single go."""
    return weights(config_path, tmp_path_factory.mktemp("whole"))


def weights(config: Path, out: Path, **changes: object) -> State:
    command.run(arguments(config, out, **changes))
    return load_model(out / "model")[0].state_dict()


def same(a: State, b: State) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def test_a_seed_determines_the_weights(config_path: Path, tmp_path: Path, whole: State) -> None:
    torch.rand(7)  # whatever else was drawn before must not matter
    assert same(whole, weights(config_path, tmp_path / "again"))
    assert not same(whole, weights(config_path, tmp_path / "other", seed=1))


@pytest.mark.parametrize("at", [1, 3, 5], ids=["trunk", "temporal", "codec"])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: State, at: int
) -> None:
    descend, calls = stages.descend, [0]

    def with_ctrl_c(*args: object) -> None:
        calls[0] += 1
        if calls[0] == at:  # in the middle of a step
            os.kill(os.getpid(), signal.SIGINT)
        descend(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "descend", with_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        command.run(arguments(config_path, tmp_path / "parts"))
    assert calls[0] == at  # the step was finished, and no other begun
    monkeypatch.setattr(stages, "descend", descend)
    assert same(whole, weights(config_path, tmp_path / "parts"))


RANK = """
import sys
from pathlib import Path
from support.training_runs import arguments
from support.training_data import FlatWorld
from rsdfm_ros.training import command, stages
command.open_usable = lambda path: FlatWorld()
sys.exit(command.run(arguments(Path(sys.argv[1]), Path(sys.argv[2]))))
"""


def test_two_processes_train_one_model(tmp_path: Path, root: Path) -> None:
    values, config_path = copy.deepcopy(SETTINGS), tmp_path / "tiny.yaml"
    values["training"] |= {  # type: ignore[operator]
        "temporal_steps": 0,
        "codec_steps": 0,
        "steps": 3,
    }
    config_path.write_text(yaml.safe_dump(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "test")]),
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(config_path), str(tmp_path / "out")],
            env={**common, "RANK": str(n), "LOCAL_RANK": str(n)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for n in range(2)
    ]
    said = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)
    _, manifest, _ = load_model(tmp_path / "out/model")
    assert manifest["training"]["stages"]["trunk"] | {"minutes": 0} == {
        "steps": 3,
        "samples": 6,
        "minutes": 0,
    }
