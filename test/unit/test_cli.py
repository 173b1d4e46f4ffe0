"""The command line: what it offers, how it fails, and what it does not import."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rsdfm_ros import __version__, cli
from rsdfm_ros.doctor import checks as doctor

_COMMAND = '''"""Fail in the way that was asked for."""
from rsdfm_ros.errors import RsdfmError
def add_arguments(parser):
    parser.add_argument("--speed", type=int, default=3, help="how fast, m/s")
    parser.add_argument("--how", default="not")
def run(args):
    if args.how == "interrupted":
        raise KeyboardInterrupt("2 scenes were saved in data")
    if args.how == "refused":
        raise RsdfmError("expected 4 UAVs, got 0")
    if args.how == "bug":
        raise ZeroDivisionError
    return args.speed
'''


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """A table with one command that exists and one that does not."""
    (tmp_path / "cli_command_under_test.py").write_text(_COMMAND)
    monkeypatch.syspath_prepend(tmp_path)
    return {"try": ("cli_command_under_test", "try something"), "later": ("rsdfm_ros.not_written", "not yet")}


def test_a_command_returns_its_exit_status(commands: dict[str, tuple[str, str]]) -> None:
    assert cli.main(["try"], commands) == 3
    assert cli.main(["try", "--speed", "0"], commands) == 0


def test_an_error_for_the_user_is_one_sentence_and_status_2(
    commands: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["try", "--how", "refused"], commands) == 2
    assert capsys.readouterr().err == "error: expected 4 UAVs, got 0\n"


def test_an_interruption_says_what_was_saved_and_is_status_130(
    commands: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["try", "--how", "interrupted"], commands) == 130
    assert capsys.readouterr().err == "interrupted: 2 scenes were saved in data\n"


def test_a_bug_is_one_sentence_and_its_traceback_lies_in_a_file(
    commands: dict[str, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    assert cli.main(["try", "--how", "bug"], commands) == 2
    (log,) = (tmp_path / "logs").iterdir()
    assert capsys.readouterr().err == (
        f"error: unexpected ZeroDivisionError; this is a fault of rsdfm_ros: please report it with {log}\n"
    )
    assert "Traceback" in log.read_text() and "in run\n    raise ZeroDivisionError" in log.read_text()


def test_a_command_whose_module_does_not_exist_is_not_offered(
    commands: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(cli.available_commands(commands)) == ["try"]
    with pytest.raises(SystemExit) as refusal:
        cli.main(["later"], commands)
    assert refusal.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_help_shows_a_default_once(
    commands: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["try", "--help"], commands)
    text = capsys.readouterr().out
    assert "Fail in the way that was asked for." in text
    assert text.count("how fast, m/s (default: 3)") == 1


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"rsdfm_ros {__version__}"


@pytest.mark.parametrize("name", cli.available_commands())
def test_every_offered_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"rsdfm {name}" in capsys.readouterr().out


def test_the_list_of_commands_needs_neither_torch_nor_ros() -> None:
    code = (
        "import sys\nfrom rsdfm_ros import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(' '.join(sorted({'torch', 'rclpy', 'mujoco', 'cv2'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_checkout_that_is_not_set_up_says_what_to_run(root: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(root / "rsdfm", tmp_path)
    shutil.copy(root / "scripts" / "with_ros", tmp_path / "scripts")
    environment = {k: v for k, v in os.environ.items() if k != "AMENT_PREFIX_PATH"}
    done = subprocess.run(
        [tmp_path / "rsdfm", "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: rsdfm_ros is not set up here: run make setup\n"


def test_logs_go_to_the_checkout_only_if_it_can_be_written(root: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(root / "scripts/with_ros", tmp_path / "scripts")
    environment = {k: v for k, v in os.environ.items() if k != "ROS_LOG_DIR"} | {"AMENT_PREFIX_PATH": "/"}

    def told() -> str:
        words = [str(tmp_path / "scripts/with_ros"), "printenv", "ROS_LOG_DIR"]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60).stdout

    (tmp_path / "log").touch()
    assert told() == ""
    (tmp_path / "log").unlink()
    assert told() == f"{tmp_path}/log/ros\n"


def test_doctor_fails_when_something_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = doctor.Check("disk", "ok", "74 GB")
    absent = doctor.Check("full ROS", "absent", "without tf2_ros", "optional")
    missing = doctor.Check("weights", "missing", "no models/nano", "train")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: good, lambda: absent))
    assert cli.main(["doctor"]) == 0
    monkeypatch.setattr(doctor, "CHECKS", (lambda: good, lambda: missing))
    assert cli.main(["doctor"]) == 1
    assert "cure: train" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [f["status"] for f in findings] == ["ok", "missing"]


def test_doctor_makes_its_checks_at_once_and_tells_them_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    met = threading.Barrier(2)

    def check(name: str) -> doctor.Check:
        met.wait(60)  # for the other one
        return doctor.Check(name, "ok", "here")

    monkeypatch.setattr(doctor, "CHECKS", (lambda: check("first"), lambda: check("second")))
    assert cli.main(["doctor", "--json"]) == 0
    assert [finding["name"] for finding in json.loads(capsys.readouterr().out)] == ["first", "second"]


def test_doctor_itself_does_not_load_torch() -> None:
    code = (
        "import sys\nfrom rsdfm_ros.doctor import checks, command\nchecks.check_weights()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_a_failed_trial_reports_its_last_line() -> None:
    good, text = doctor._trial(["-c", "raise SystemExit('no GPU and no EGL')"])
    assert (good, text) == (False, "no GPU and no EGL")


def test_a_node_without_ros_says_what_is_missing() -> None:
    code = (
        "import sys\nsys.modules['rclpy'] = None\n"
        "from rsdfm_ros.errors import RsdfmError\n"
        "try:\n    import rsdfm_ros.nodes.uav.uav_node\n"
        "except RsdfmError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "needs ROS 2 and rclpy cannot be imported" in done.stdout, done.stderr


def test_doctor_knows_the_viewer_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    assert doctor.check_viewer().status in ("ok", "absent")
    monkeypatch.setattr(doctor.importlib.metadata, "version", no_version)
    check = doctor.check_viewer()
    assert check.status == "absent" and "optional" in check.cure


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "ok", "FASTDDS_BUILTIN_TRANSPORTS has no effect"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "ok", "FASTDDS_BUILTIN_TRANSPORTS=UDPv4"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": ""}, "absent", "large images get lost"),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, "ok", "as rmw_cyclonedds_cpp chooses"),
    ],
)
def test_doctor_says_which_transport_setting_has_an_effect(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], status: str, words: str
) -> None:
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4", **environment}.items():
        monkeypatch.setenv(name, value)
    check = doctor.check_transport()
    assert check.status == status and words in check.found
