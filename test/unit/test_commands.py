"""Every command as a person types it: in a process of its own, with files of its own, one after the other."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from rsdfm_ros import cli
from rsdfm_ros.data.opening import open_dataset
from support.field_sets import write_airv2x
from support.places import ROOT
from support.textured_flight import make_flight

TINY = ROOT / "test/support/tiny.yaml"
WAIT_S = 600.0

FLOWN = "test/integration/test_commands_flown.py"
ELSEWHERE = {
    "demo": (FLOWN, '"demo"'),
    "replay": (FLOWN, '"replay"'),
    "fleet": ("test/integration/test_fleet_processes.py", '"fleet"'),
    "bag record": ("test/integration/test_bags_live.py", '"record"'),
}
"""Command that needs a fleet → the test that runs it, and the word that it does so with."""


def rsdfm(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`rsdfm WORDS` run in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "rsdfm_ros.cli", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def good(*words: str | Path, cwd: Path) -> str:
    """Its standard output, after it has ended well."""
    done = rsdfm(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of all commands, with two tiny data sets: data (seed 0) and test (seed 9000)."""
    folder = tmp_path_factory.mktemp("work")
    common = ("--frames", "8", "--uavs", "2", "--size", "96x64", "--vehicles", "20", "--depth", "--jobs", "1")
    good("simulate", "--out", "data", *common, cwd=folder)
    good("simulate", "--out", "test", "--seed", "9000", *common, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def bag(work: Path) -> Path:
    good("bag", "export", "--data", "test", "--out", "bag", cwd=work)
    return work / "bag"


def simulate(work: Path) -> None:
    said = good(
        "simulate",
        *("--out", "data", "--frames", "8", "--uavs", "2", "--size", "96x64", "--vehicles", "20", "--depth"),
        "--json",
        cwd=work,
    )
    assert json.loads(said)["already_there"] == 1  # the fixture made it


def data_check(work: Path) -> None:
    assert "can be used" in good("data", "check", "data", cwd=work)


def data_describe(work: Path) -> None:
    text = good("data", "describe", "--preset", "uav3d", cwd=work)
    (work / "public").mkdir()
    good("data", "describe", "public", "--preset", "uav3d", cwd=work)
    (path,) = (work / "public").iterdir()
    assert path.read_text() == text
    path.write_text("mine")
    assert rsdfm("data", "describe", "public", "--preset", "uav3d", cwd=work).returncode == 2
    assert path.read_text() == "mine"
    good("data", "describe", "public", "--preset", "uav3d", "--force", cwd=work)
    assert path.read_text() == text and list((work / "public").iterdir()) == [path]


def data_layout(work: Path) -> None:
    good("data", "layout", "data", "--out", "with-layout", cwd=work)
    assert (work / "with-layout/maps").is_dir()
    refused = rsdfm("data", "layout", "data", "--out", "with-layout", cwd=work)
    assert refused.returncode == 2 and "--force replaces them" in refused.stderr
    good("data", "layout", "data", "--out", "with-layout", "--force", cwd=work)
    assert "can be used" in good("data", "check", "with-layout", cwd=work)


def data_convert_video(work: Path) -> None:
    images = work / "video/uav1"
    images.mkdir(parents=True)
    down = " 1 0 0 0 0 -1 0 0 0 0 -1 50 0 0 0 1\n"
    for n in range(6):
        assert cv2.imwrite(str(images / f"{n}.png"), np.full((64, 96, 3), 40 * n, np.uint8))
    (work / "video/uav1.csv").write_text("".join(f"{n}.png{down}" for n in range(6)))
    typed = (
        "data",
        "convert",
        "video",
        "--uav",
        "video/uav1",
        "video/uav1.csv",
        "--out",
        "video/set",
        "--rate",
        "2",
    )
    refused = rsdfm(*typed, cwd=work)
    assert refused.returncode == 2 and "--intrinsics" in refused.stderr
    good(*typed, "--intrinsics", "96", "96", "48", "32", cwd=work)
    (info,) = open_dataset(work / "video/set").scenes
    assert (info.name, info.frames) == ("video", 6)


def data_convert_airv2x(work: Path) -> None:
    write_airv2x(work / "airv2x")
    typed = ("data", "convert", "airv2x", "airv2x", "--out", "airv2x-set")
    refused = rsdfm(*typed, cwd=work)
    assert refused.returncode == 2 and "--unpickle" in refused.stderr
    good(*typed, "--unpickle", cwd=work)
    assert "can be used" in good("data", "check", "airv2x-set", cwd=work)


def calibrate_time(work: Path) -> None:
    make_flight(work / "lively", offset_s=0.04)
    told = json.loads(good("calibrate", "time", "lively", "--json", cwd=work))
    assert told["uav1"]["camera"]["image_time_offset_s"] == pytest.approx(0.04, abs=0.005)


def calibrate_mount(work: Path) -> None:
    """Untrained weights see nothing: no angle is given."""
    done = rsdfm("calibrate", "mount", "bag", "--model", f"random:{TINY}:3", cwd=work)
    assert done.returncode == 2 and "at none of the 8 instants with images of two UAVs" in done.stderr, done


def bag_export(work: Path) -> None:
    assert (work / "bag/metadata.yaml").is_file()
    refused = rsdfm("bag", "export", "--data", "test", "--out", "bag", cwd=work)
    assert refused.returncode == 2 and "--force replaces them" in refused.stderr
    good("bag", "export", "--bag", "bag", "--out", "again", cwd=work)
    assert "can be used" in good("data", "check", "again", cwd=work)
    good("bag", "export", "--data", "test", "--out", "bag", "--force", cwd=work)
    assert sorted(p.name for p in (work / "bag").iterdir()) == ["bag_0.mcap", "metadata.yaml"]


def bag_info(work: Path) -> None:
    assert json.loads(good("bag", "info", "bag", "--json", cwd=work))["storage"] == "mcap"


def bag_evaluate(work: Path) -> None:
    good("bag", "evaluate", "bag", "--model", f"random:{TINY}:3", "--json", "new/result.json", cwd=work)
    content = json.loads((work / "new/result.json").read_text())
    assert [row["method"] for row in content["results"]] == ["single", "rsdfm"]


def wire_inspect(work: Path) -> None:
    golden = ROOT / "test/golden"
    facts = json.loads(good("wire", "inspect", golden / "wire_v3_dense.bin", "--json", cwd=work))
    assert facts["packets"][0]["kind"] == "dense" and facts["packets"][0]["error"] is None
    refused = rsdfm("wire", "inspect", golden / "wire_v1_low.bin", cwd=work)
    assert refused.returncode == 1 and "unsupported_version" in refused.stdout and not refused.stderr
    assert rsdfm("wire", "inspect", "nowhere.bin", cwd=work).returncode == 2


def security_init(work: Path) -> None:
    good("security", "init", "config/fleet/demo.yaml", "--out", "rules", cwd=work)
    assert (work / "rules/governance.xml").is_file()
    refused = rsdfm("security", "init", "config/fleet/demo.yaml", "--out", "rules", cwd=work)
    assert refused.returncode == 2 and "--force" in refused.stderr


def train(work: Path) -> None:
    few = {"steps": 1, "temporal_steps": 1, "codec_steps": 1, "batch_frames": 1, "temporal_batch": 1}
    model = yaml.safe_load(TINY.read_text())["model"] | {"window_tiles": [-4, -4, 8, 8]}  # ±64 m
    (work / "tiny.yaml").write_text(yaml.safe_dump({"model": model, "training": few}))
    good("train", "--data", "data", "--config", "tiny.yaml", "--out", "trained", cwd=work)
    assert (work / "trained/model/manifest.yaml").is_file()


def evaluate(work: Path) -> None:
    words = ("--model", "trained/model", "--data", "test", "--uavs", "2", "--methods", "single,rsdfm")
    good("evaluate", *words, "--json", "accuracy.json", cwd=work)
    rows = json.loads((work / "accuracy.json").read_text())["results"]
    assert [row["method"] for row in rows] == ["single", "rsdfm"]


def bench(work: Path) -> None:
    typed = ("bench", "--model", f"random:{TINY}", "--quick")
    figures = json.loads(good(*typed, "--json", cwd=work))
    assert figures["failed"] == {} and figures["threads"] == 1 and figures["rate_alone_from"] == "uav_frame"
    for key in ("uav_frame_ms", "uav_frame_single_ms", "fleet_frame_ms", "region_quarter_share"):
        assert figures[key] > 0
    assert list(figures["peers_ms"]) == ["1", "2", "4"] and isinstance(figures["per_peer_ms"], float)
    assert {"compress", "encode packets", "decode packets"} < set(figures["stages_ms"])
    assert figures["machine"]["cores"] >= 1 and "PyTorch" in figures["engine"]
    assert figures["rate_alone_hz"] == pytest.approx(1000 / figures["uav_frame_ms"])
    said = good(*typed, "--threads", "2", cwd=work)
    assert "one UAV-frame" in said and "On this computer" in said and "2 threads" in said
    assert "out of range" in rsdfm("bench", "--threads", "0", cwd=work).stderr


def finished_run(folder: Path) -> Path:
    """The folder of a mission of two frames, without images."""
    facts = {
        "rate_hz": 2.0,
        "latency_median_ms": 9.0,
        "bytes_sent_frame": 5,
        "bytes_received": 5,
        "peers": [],
    }
    facts |= {"iou_single": 0.4, "iou_collaborative": 0.5}
    lines = [{"frame": k, "stamp_s": 0.5 * k, "agents": {"uav1": facts}} for k in range(2)]
    rows = [{"method": method, "iou_long": 0.5} for method in ("single", "rsdfm")]
    result = {"protocol": {"agents": ["uav1"]}, "results": rows, "agents": {"uav1": {}}, "frames": lines}
    (folder / "frames").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def report(work: Path) -> None:
    finished_run(work / "run")
    assert good("report", "run", cwd=work).split() == ["run/report.html"]
    good("report", "run", cwd=work)  # its own page is made anew at will
    assert "Mission report" in (work / "run/report.html").read_text()
    (work / "pages").mkdir()
    (work / "pages/report.html").write_text("of another run")
    refused = rsdfm("report", "run", "--out", "pages", cwd=work)
    assert refused.returncode == 2 and "pages/report.html exists already" in refused.stderr
    assert (work / "pages/report.html").read_text() == "of another run"
    good("report", "run", "--out", "pages", "--force", cwd=work)
    assert "Mission report" in (work / "pages/report.html").read_text()


def gazebo(work: Path) -> None:
    words = ("gazebo", "--uavs", "1", "--frames", "2", "--ground-px", "64")
    made = json.loads(good(*words, "--out", "world", "--json", cwd=work))
    assert "world.sdf" in made["files"] and all((work / "world" / name).is_file() for name in made["files"])
    (work / "world/world.sdf").write_text("edited for a day")
    refused = rsdfm(*words, "--out", "world", cwd=work)
    assert refused.returncode == 2 and "--force replaces them" in refused.stderr
    assert (work / "world/world.sdf").read_text() == "edited for a day"
    good(*words, "--out", "world", "--force", cwd=work)
    assert "<sdf" in (work / "world/world.sdf").read_text()


def view(work: Path) -> None:
    good("view", "--uavs", "2", "--rviz", "new/two.rviz", "--foxglove", "two.json", cwd=work)
    (work / "new/two.rviz").write_text("arranged for a day")
    refused = rsdfm("view", "--rviz", "new/two.rviz", cwd=work)
    assert refused.returncode == 2 and "--force replaces it" in refused.stderr
    assert (work / "new/two.rviz").read_text() == "arranged for a day"
    if importlib.util.find_spec("rerun") is None:
        absent = rsdfm("view", "bag", "--no-web", cwd=work)
        assert absent.returncode == 2 and "run `make setup-view`" in absent.stderr
    else:
        good("view", "bag", "--save", "bag.rrd", cwd=work)
        assert (work / "bag.rrd").stat().st_size


def doctor(work: Path) -> None:
    done = rsdfm("doctor", "--json", cwd=work)
    findings = {check["name"]: check for check in json.loads(done.stdout)}
    assert findings["PyTorch"]["status"] == "ok" and findings["weights"]["status"] == "ok", findings
    assert done.returncode == any(check["status"] == "missing" for check in findings.values())


RUNS: dict[str, Callable[[Path], None]] = {
    "simulate": simulate,
    "data check": data_check,
    "data describe": data_describe,
    "data layout": data_layout,
    "data convert video": data_convert_video,
    "data convert airv2x": data_convert_airv2x,
    "calibrate time": calibrate_time,
    "bag export": bag_export,
    "bag info": bag_info,
    "bag evaluate": bag_evaluate,
    "calibrate mount": calibrate_mount,
    "wire inspect": wire_inspect,
    "security init": security_init,
    "train": train,
    "evaluate": evaluate,  # with the model of `train`
    "bench": bench,
    "report": report,
    "gazebo": gazebo,
    "view": view,
    "doctor": doctor,
}
"""Command → its run in the folder of `work`."""


def parsers(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands below a parser with their parsers; those of which there are several kinds by their kinds."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for group in groups:
        for name, inner in group.choices.items():
            yield from parsers(inner, (*words, name))
    if not groups:
        yield " ".join(words), parser


def all_commands() -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for name in cli.COMMANDS:
        top = cli.build_parser([name], cli.COMMANDS)
        (group,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
        found |= dict(parsers(group.choices[name], (name,)))
    return found


@pytest.fixture(scope="module")
def commands() -> dict[str, argparse.ArgumentParser]:
    return all_commands()


def test_every_command_is_run_by_a_test(commands: dict[str, argparse.ArgumentParser]) -> None:
    assert set(commands) == {*RUNS, *ELSEWHERE}
    for file, word in ELSEWHERE.values():
        text = (ROOT / file).read_text()
        assert "rsdfm_ros.cli" in text and word in text


def test_no_argument_can_take_the_place_of_what_a_parser_sets(
    commands: dict[str, argparse.ArgumentParser],
) -> None:
    for name, parser in commands.items():
        arguments = {action.dest for action in parser._actions}
        assert not arguments & set(parser._defaults), name
        assert not any(dest.startswith("_") for dest in arguments), name


@pytest.mark.parametrize("name", [*RUNS, *ELSEWHERE])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*name.split(), "--help"])
    assert end.value.code == 0
    assert f"usage: rsdfm {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", RUNS)
def test_every_command_runs(name: str, work: Path, bag: Path) -> None:
    RUNS[name](work)


def test_shipped_files_are_found_from_any_folder(work: Path, bag: Path) -> None:
    good("bag", "info", "bag", "--map", "config/bags/foreign.yaml", cwd=work)
    done = rsdfm("evaluate", "--data", "nowhere", cwd=work)
    assert done.returncode == 2 and done.stderr.startswith(
        "error: nowhere: is no folder"
    )  # models/nano is found


@pytest.mark.parametrize(
    "content", [{"protocol": [1]}, {"frames": [{"frame": 0}]}, {"results": [3]}, {"frames": 3}]
)
def test_results_of_another_kind_are_no_run(
    content: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "result.json is not of a mission: expected protocol.agents" in capsys.readouterr().err
