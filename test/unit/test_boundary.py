"""The end of commands and nodes: one sentence for every cause, for every reader of their output."""

from __future__ import annotations

import errno
import io
import os
import re
import resource
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsdfm_ros import boundary, start
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.settings import warn_renamed

WAIT_S = 300.0
CLI = [sys.executable, "-m", "rsdfm_ros.cli"]
BUFFERED = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}


def text_error(kind: type[Exception]) -> Exception:
    try:
        b"\xff".decode() if kind is UnicodeDecodeError else yaml.safe_load("a: b: c")
    except kind as error:
        return error
    raise AssertionError(kind)


def test_a_former_name_is_told_in_one_sentence_and_other_warnings_as_python_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> int:
        for _ in range(2):
            warn_renamed("uav.parameters.old", "uav.parameters.new")
        warnings.warn("a slow path", UserWarning, stacklevel=1)
        return 0

    assert boundary.guarded(work) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("warning: uav.parameters.old is called uav.parameters.new now")
    assert "UserWarning: a slow path" in said[-2] and not any("FormerName" in line for line in said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RsdfmError("expected 4, got 0"), "error: expected 4, got 0"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device; free some space"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            "error: /x: Permission denied; choose another",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "f/x"),
            "error: f/x: Not a directory; a part of",
        ),
        (OSError("odd"), "error: odd"),
        (
            MemoryError("Unable to allocate 8 GiB"),
            "error: there is not enough memory (Unable to allocate 8 GiB)",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "there is not enough memory",
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 519040 vs 518936"),
            "error: the disk is full ([enforce fail at inline_container.cc:672]",
        ),
        (RuntimeError("database or disk is full"), "error: the disk is full (database or disk is full)"),
        (text_error(UnicodeDecodeError), "error: a file is no text in UTF-8"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "a package is missing or damaged"),
        (KeyboardInterrupt(), "interrupted"),
        (KeyboardInterrupt("2 scenes are saved"), "interrupted: 2 scenes are saved"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_are_one_sentence(
    error: BaseException, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "_keep_traceback", lambda error: pytest.fail(f"a bug: {error}"))
    assert boundary.explain(error) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""


def test_an_interruption_inside_of_another_error_is_an_interruption(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def importing() -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialisation failed") from error

    assert boundary.guarded(importing) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_kept_where_something_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "file" / "below"))
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "home"))
    assert boundary.guarded(lambda: 1 // 0) == 2
    (log,) = (tmp_path / "home" / "log").iterdir()
    assert capsys.readouterr().err.endswith(f"please report it with {log}\n")
    assert "ZeroDivisionError" in log.read_text() and sys.version in log.read_text()


class Full(io.StringIO):
    """Standard output on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_output_that_cannot_be_written_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert boundary.guarded(lambda: 0) == 2
    assert capsys.readouterr().err.startswith(
        "error: standard output: No space left on device; free some space"
    )
    monkeypatch.setattr(sys, "stdout", None)  # closed by the shell
    assert boundary.guarded(lambda: 0) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["bag", "--help"],
        ["bag", "info", "flight"],
        ["data", "describe", "--preset", "uav3d"],
    ],
)
def test_a_reader_that_goes_is_no_error(words: list[str], tmp_path: Path) -> None:
    """rsdfm … | true"""
    from support.bag_data import make_bag

    make_bag(tmp_path / "flight", 1)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        pipes: dict[str, Any] = {"stdout": writing, "stderr": subprocess.PIPE}
        done = subprocess.run([*CLI, *words], cwd=tmp_path, text=True, env=BUFFERED, timeout=WAIT_S, **pipes)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_without_unicode_gets_what_it_can_show() -> None:
    environment = {**BUFFERED, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*CLI, "evaluate", "--help"], capture_output=True, env=environment, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, b"") and b"usage: rsdfm evaluate" in done.stdout


def test_the_first_line_can_be_had(root: Path) -> None:
    """rsdfm --help | head -1"""
    line = f"{sys.executable} -m rsdfm_ros.cli --help | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=BUFFERED, timeout=WAIT_S)
    assert done.stderr == "" and done.stdout.startswith("usage: rsdfm") and done.stdout.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*CLI, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, env=BUFFERED, timeout=WAIT_S
        )
    assert done.returncode == 2
    assert (
        done.stderr.startswith("error: standard output: No space left on device")
        and done.stderr.count("\n") == 1
    )


_COMMAND = '''"""Wait at a given moment."""
import atexit, sys, time
WHEN = sys.argv[2]
def wait():
    print("here", flush=True)
    time.sleep(600)
def add_arguments(parser):
    parser.add_argument("when")
def run(args):
    if WHEN == "run":
        wait()
    if WHEN == "text":
        exec("wait()", globals())
    if WHEN == "compiled":
        import ctypes
        function = ctypes.CDLL(None).abs
        function.argtypes = [type("Argument", (), {"from_param": lambda value: wait()})]
        function(1)
    if WHEN == "end":
        atexit.register(wait)
    return 0
if WHEN == "import":
    wait()
'''


@pytest.mark.parametrize(
    ("when", "status", "said"),
    [
        ("import", 130, "interrupted\n"),
        ("run", 130, "interrupted\n"),
        ("text", 130, "interrupted\n"),
        ("compiled", 130, "interrupted\n"),
        ("end", 0, ""),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_ctrl_c_is_understood_at_any_moment(
    tmp_path: Path, when: str, status: int, said: str, number: signal.Signals
) -> None:
    (tmp_path / "waiting_command.py").write_text(_COMMAND)
    code = "import sys\nfrom rsdfm_ros import cli\nsys.exit(cli.main(commands={'try': ('waiting_command', 'wait')}))"
    (tmp_path / "program_under_test.py").write_text(code)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(  # as a module, as ./rsdfm does: only then Python ends by the signal itself
        [sys.executable, "-m", "program_under_test", "try", when],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        process.send_signal(number)
        _, error = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, error) == (status, said)


def test_an_export_that_was_stopped_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rsdfm_ros import cli
    from rsdfm_ros.data.bags import frames
    from rsdfm_ros.data.bags.bag import open_bag
    from support.bag_data import make_bag

    monkeypatch.chdir(tmp_path)
    make_bag(tmp_path / "flight")
    assert cli.main(["bag", "export", "--bag", "flight", "--out", "data"]) == 0
    capsys.readouterr()
    whole, words = frames.write_frames, ["bag", "export", "--data", "data", "--out", "bag"]

    def stopped(writer: Any, shown: Any, agents: tuple[str, ...], **options: Any) -> int:
        whole(writer, [next(iter(shown))], agents, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(frames, "write_frames", stopped)
    assert cli.main(words) == 130
    assert capsys.readouterr().err == "interrupted: the bag in bag holds what was written so far\n"
    open_bag("bag").close()
    monkeypatch.setattr(frames, "write_frames", whole)
    assert cli.main(words) == 0


def test_a_full_disk_leaves_no_half_bag_that_blocks_the_next(tmp_path: Path) -> None:
    from support.bag_data import make_bag

    make_bag(tmp_path / "bag")
    export = [*CLI, "bag", "export"]

    def run(*words: str, limit: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
        def full() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [*export, *words], cwd=tmp_path, preexec_fn=full, capture_output=True, text=True, timeout=WAIT_S
        )

    assert run("--bag", "bag", "--out", "data").returncode == 0
    # A limit on the size of files acts as a full disk does, and needs no disk of its own.
    for storage in ("mcap", "sqlite3"):
        words = ("--data", "data", "--out", storage, "--storage", storage)
        done = run(*words, limit=30_000)
        assert done.returncode == 2 and "unexpected" not in done.stderr, done.stderr
        (sentence,) = done.stderr.strip().splitlines()
        assert re.match(rf"error: (--out )?{storage}:? cannot be written", sentence)
        assert not (tmp_path / storage).exists()
        assert run(*words).returncode == 0
    done = run("--bag", "bag", "--out", "again", limit=1_000)
    assert done.returncode == 2 and "unexpected" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert run("--bag", "bag", "--out", "again").returncode == 0


def test_a_node_ends_in_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {number: signal.getsignal(number) for number in start.SIGNALS}
    try:
        for name in ("no_such_node", "pipeline_node", "world_node"):  # the last ones are parts of nodes
            assert start.main(name) == 2
            assert capsys.readouterr().err == f"error: there is no node {name!r}\n"

        def full(name: str) -> object:
            raise OSError(errno.ENOSPC, "No space left on device", "/log")

        monkeypatch.setattr(start.importlib, "import_module", full)
        assert start.main("uav_node") == 2
        assert capsys.readouterr().err.startswith("error: /log: No space left on device; free some space")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
