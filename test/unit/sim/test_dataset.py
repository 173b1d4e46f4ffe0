"""`rsdfm simulate`: resuming, refusing, ending cleanly. Workers render a made-up world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rsdfm_ros.data.nuscenes import DatasetError, ParameterMismatchError, open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import OutputError
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.dataset import render as rendering
from rsdfm_ros.sim.dataset import simulate, simulate_command
from rsdfm_ros.sim.record import to_record
from support.fake_world import (
    arguments,
    dying_world,
    environment_world,
    failing_world,
    fake_world,
    waiting_world,
)


def contents(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "data"
    assert simulate_command.run(arguments(root), fake_world) == 0
    return root


def stop_in_the_second_scene(root: Path) -> None:
    """Leaves the dataset as a killed simulation does: a finished scene, half a scene, half-written files."""
    parameters = rendering.Parameters(seed=100, uavs=2, frames=4, camera=to_record(SimConfig()))
    rendering.remember_parameters(root, parameters)
    with closing(rendering.render(root, parameters, 3, 1, waiting_world)) as events:
        assert rendering.Progress(1, "frame") in events
    (root / "scenes" / ".scene-00101.json.4711.tmp.gz").write_bytes(b"half")


def test_a_simulation_can_be_opened(finished: Path) -> None:
    dataset = open_dataset(finished)
    assert [(s.name, s.seed, s.frames) for s in dataset.scenes] == [
        (f"scene-{n:05d}", n, 4) for n in (100, 101, 102)
    ]
    assert dataset.load(2, 3).views[1].image.shape == (24, 32, 3)


def test_an_interrupted_simulation_goes_on_to_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    stop_in_the_second_scene(tmp_path)
    with pytest.raises(DatasetError, match="unfinished simulation with 1 finished"):
        open_dataset(tmp_path)
    before = (tmp_path / "scenes" / "scene-00100.json.gz").stat().st_mtime_ns
    assert simulate_command.run(arguments(tmp_path), fake_world) == 0
    assert (tmp_path / "scenes" / "scene-00100.json.gz").stat().st_mtime_ns == before
    assert contents(tmp_path) == contents(finished)


def test_several_jobs_write_the_same_bytes_as_one(finished: Path, tmp_path: Path) -> None:
    assert simulate_command.run(arguments(tmp_path / "two", "--jobs", "2"), fake_world) == 0
    assert contents(tmp_path / "two") == contents(finished)


def test_a_dataset_can_be_extended_later(finished: Path, tmp_path: Path) -> None:
    assert simulate_command.run(arguments(tmp_path, "--scenes", "1"), fake_world) == 0
    assert len(open_dataset(tmp_path)) == 1
    assert simulate_command.run(arguments(tmp_path), fake_world) == 0
    assert contents(tmp_path) == contents(finished)


def test_a_finished_simulation_renders_nothing_again(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate_command.run(arguments(finished, "--json"), failing_world) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["scenes"], summary["rendered"], summary["already_there"]) == (3, 0, 3)


@pytest.mark.parametrize("options", [("--seed", "7"), ("--uavs", "3"), ("--frames", "5"), ("--depth",)])
def test_other_parameters_are_refused_and_named(finished: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(ParameterMismatchError, match=options[0].strip("-") + r".*there.*asked"):
        simulate_command.run(arguments(finished, *options), fake_world)


def test_another_camera_is_refused(finished: Path) -> None:
    with pytest.raises(ParameterMismatchError, match=r"'width_px': 480.*there.*'width_px': 640.*asked"):
        simulate_command.run(arguments(finished, "--size", "640x270"), fake_world)


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ParameterMismatchError, match="not empty"):
        simulate_command.run(arguments(tmp_path), fake_world)


def test_a_crash_before_the_first_scene_does_not_block_the_folder(finished: Path, tmp_path: Path) -> None:
    (tmp_path / ".rsdfm_parameters.4711.tmp.json").write_bytes(b"half")
    assert simulate_command.run(arguments(tmp_path), fake_world) == 0
    assert contents(tmp_path) == contents(finished)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rsdfm_ros.outputs import locked_folder\n"
        "with locked_folder(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "in\n"
        with pytest.raises(OutputError, match=rf"process {holder.pid}\) is writing there"):
            simulate_command.run(arguments(tmp_path), fake_world)
        holder.communicate("")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--uavs", "0"), "--uavs 0 is out of range: expected 1 to 8"),
        (("--uavs", "9"), "--uavs 9"),
        (("--frames", "0"), "--frames 0"),
        (("--frames", "129"), "--frames 129"),
        (("--scenes", "0"), "--scenes 0"),
        (("--seed", "-1"), "--seed -1"),
        (("--jobs", "0"), "--jobs 0"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    with pytest.raises(RsdfmError, match=words):
        simulate_command.run(arguments(tmp_path / "out", *options), fake_world)
    assert not (tmp_path / "out").exists()


def test_a_scene_that_fails_is_named_and_the_finished_ones_stay(tmp_path: Path) -> None:
    with pytest.raises(rendering.RenderError, match="scene-00101 failed: RuntimeError: no graphics here"):
        simulate_command.run(arguments(tmp_path), failing_world)
    assert [f.name for f in (tmp_path / "scenes").iterdir()] == ["scene-00100.json.gz"]


def test_a_worker_that_is_killed_is_reported_and_the_same_command_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(rendering.RenderError, match="scene-00101 failed: its process was ended by SIGKILL"):
        simulate_command.run(arguments(tmp_path), dying_world)
    assert simulate_command.run(arguments(tmp_path), fake_world) == 0
    assert contents(tmp_path) == contents(finished)


def test_every_renderer_runs_with_one_thread(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert simulate_command.run(arguments(tmp_path, "--scenes", "1"), environment_world) == 0
    assert dict(os.environ) == before


def test_progress_counts_frames_and_scenes_that_were_there(finished: Path) -> None:
    told: list[simulate.Simulated] = []
    done = simulate.simulate_dataset(
        SimConfig(),
        finished,
        seed=100,
        scenes=3,
        uavs=2,
        frames=4,
        make_world=failing_world,
        progress=told.append,
    )
    assert done == told[-1] == simulate.Simulated(rendered=0, already_there=3, frames=0) and len(told) == 3


def test_an_interruption_says_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = rendering.render

    def interrupted(*args: object) -> Iterator[rendering.Progress]:
        with closing(original(*args)) as events:  # type: ignore[arg-type]
            for event in events:
                yield event
                if event == rendering.Progress(1, "frame"):
                    raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "render", interrupted)
    with pytest.raises(KeyboardInterrupt, match="1 of 3 scenes are saved"):
        simulate_command.run(arguments(tmp_path), fake_world)
    assert not _children()


def test_a_damaged_fragment_is_named(finished: Path, tmp_path: Path) -> None:
    for name, data in contents(finished).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "scenes" / "scene-00101.json.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DatasetError, match=r"scene-00101\.json\.gz.*delete this file"):
        simulate_command.run(arguments(tmp_path), fake_world)
    assert len(open_dataset(tmp_path)) == 3


def test_the_simulator_itself_is_written_and_read(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    assert (
        simulate_command.run(arguments(tmp_path, "--scenes", "1", "--frames", "1", "--uavs", "1", "--depth"))
        == 0
    )
    frame = open_dataset(tmp_path).load(0, 0, depth=True)
    assert frame.views[0].image.std() > 5
    assert frame.views[0].depth is not None and frame.views[0].depth.max() > 10
    assert len(frame.objects) > 5


def _children() -> set[int]:
    """Children that still run, after up to a minute of grace."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        alive = set(map(int, task.read_text().split()))
        alive = {p for p in alive if "spawn_main" in _command(p) or "multiprocessing-fork" in _command(p)}
        if not alive:
            return alive
    return alive


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
