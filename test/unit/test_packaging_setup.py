"""`make setup` refuses what cannot work in one sentence, and does nothing twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bootstrap
import fix_cmake_exports
import pytest
import system_packages


@pytest.mark.parametrize(
    ("version", "machine", "system", "words"),
    [
        ((3, 9), "x86_64", "Linux", "Python 3.9 is not supported: rsdfm_ros needs 3.10 to 3.13"),
        ((3, 14), "x86_64", "Linux", "Python 3.14 is not supported"),
        ((3, 11), "aarch64", "Linux", "Linux on x86-64 only and this is Linux on aarch64"),
        ((3, 11), "x86_64", "Darwin", "this is Darwin on x86_64"),
    ],
)
def test_a_machine_without_wheels_is_named_in_one_sentence(
    version: tuple[int, int], machine: str, system: str, words: str
) -> None:
    with pytest.raises(bootstrap.SetupError, match=words.replace(".", r"\.")) as refusal:
        bootstrap.check_machine(version, machine, system)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_supported_pythons_are_accepted(minor: int) -> None:
    bootstrap.check_machine((3, minor), "x86_64", "Linux")


def test_a_user_who_is_not_root_gets_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing may be run")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system_packages.shutil, "which", lambda _: "/usr/bin/apt-get")
    told = system_packages.provide(["cmake", "g++"], never)
    assert told.splitlines()[-1].strip().endswith("--no-install-recommends cmake g++")
    assert "sudo apt-get install" in told


def test_root_installs_and_says_what_apt_could_not_provide(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system_packages.shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(system_packages, "missing_packages", lambda: ["cmake"])
    told = system_packages.provide(["cmake"], lambda arguments, _: ran.append(arguments))
    assert [arguments[3] for arguments in ran] == ["update", "install"]
    assert told == "apt-get installed cmake but still missing: cmake"


def test_a_missing_compiler_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages.shutil, "which", lambda _: None)
    assert {"cmake", "g++", "make"} <= set(system_packages.missing_packages())


def test_optional_packages_are_never_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise bootstrap.SetupError("apt-get failed\n…")

    monkeypatch.setattr(system_packages.shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = system_packages.provide_optional(["sdformat-sdf"], fail)
    assert told.endswith("sdformat-sdf: cannot be installed here (apt-get failed)")
    assert system_packages.provide_optional(["sdformat-sdf"], lambda *_: None) is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = system_packages.provide_optional(["sdformat-sdf"], fail)
    assert told.startswith("optional") and told.endswith("--no-install-recommends sdformat-sdf")


def test_a_missing_sdf_checker_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages.shutil, "which", lambda _: None)
    assert "sdformat-sdf" in system_packages.missing_optional_packages()
    assert "sdformat-sdf" not in system_packages.missing_packages()
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: "/usr/bin/gz" if name == "gz" else None)
    assert system_packages.missing_optional_packages() == []


def test_a_step_runs_once_per_state_of_its_inputs(tmp_path: Path) -> None:
    runs: list[str] = []
    stamp = str(tmp_path / "stamp")
    for key in ("a", "a", "b", "b"):
        bootstrap.step("try", stamp, key, lambda key=key: runs.append(key))
    assert runs == ["a", "b"]


def test_a_failed_step_runs_again(tmp_path: Path) -> None:
    def fail() -> None:
        raise bootstrap.SetupError("no network")

    stamp = tmp_path / "stamp"
    with pytest.raises(bootstrap.SetupError):
        bootstrap.step("try", str(stamp), "a", fail)
    assert not stamp.exists()


def test_a_failed_command_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LOG", str(tmp_path / "setup.log"))
    with pytest.raises(bootstrap.SetupError, match=r"status 3.*\n  no such wheel"):
        bootstrap.run([sys.executable, "-c", "print('no such wheel'); raise SystemExit(3)"])


def test_the_state_follows_the_contents_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    (tmp_path / "a.msg").write_text("int32 x")
    before = bootstrap.digest(["a.msg"], ["src/a.py"])
    assert bootstrap.digest(["a.msg"], ["src/a.py"]) == before
    assert bootstrap.digest(["a.msg"], ["src/b.py"]) != before
    (tmp_path / "a.msg").write_text("int32 y")
    assert bootstrap.digest(["a.msg"], ["src/a.py"]) != before


def test_cmake_exports_are_pointed_here_once() -> None:
    wheel = "/opt/python/cp311-cp311"
    text = f'"{wheel}/include/python3.11;{wheel}/lib/python3.11/site-packages/numpy/_core/include"'
    fixed = fix_cmake_exports.fix_text(text, python_include="/py/include", numpy_include="/np/include")
    assert fixed == '"/py/include;/np/include"'
    assert fix_cmake_exports.fix_text(fixed, python_include="/x", numpy_include="/y") == fixed


def shim(folder: Path, name: str, answer: str = "") -> Path:
    """A command of this name that runs the Python of these tests, or only prints `answer`."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    does = f"echo {answer}" if answer else f'exec {sys.executable} "$@"'
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return path


def make_setup(
    root: Path, *words: str, first_on_path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    path = os.environ["PATH"] if first_on_path is None else f"{first_on_path}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")}
    return subprocess.run(
        ["make", "-s", "-C", str(root), "setup", *words],
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
    )


def test_a_python_that_was_named_is_never_replaced(root: Path, tmp_path: Path) -> None:
    """As a person types it: the shim of a version manager answers with another version."""
    shim(tmp_path / "bin", "python3.9")
    done = make_setup(root, "PYTHON=python3.9", first_on_path=tmp_path / "bin")
    version = "{}.{}".format(*sys.version_info[:2])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(
        f"error: PYTHON=python3.9 runs Python {version}, not the version of its name"
    )
    done = make_setup(root, "PYTHON=python3.99", first_on_path=tmp_path / "bin")
    assert done.returncode == 2 and "error: python3.99 is not installed" in done.stderr


def test_what_was_named_must_be_what_it_says_and_what_the_environment_is_made_with() -> None:
    bootstrap.check_named("python3.11", (3, 11), None)
    bootstrap.check_named("/opt/py/bin/python3", (3, 11), (3, 11))
    with pytest.raises(bootstrap.SetupError, match=r"python3\.9 runs Python 3\.11"):
        bootstrap.check_named("/shims/python3.9", (3, 11), None)
    with pytest.raises(bootstrap.SetupError, match=r"made with 3\.11: run `make clean` first"):
        bootstrap.check_named("python3.12", (3, 12), (3, 11))


def test_only_the_default_is_replaced_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "PYTHON", str(tmp_path / "none"))
    monkeypatch.setattr(bootstrap, "find_supported_python", lambda: "/usr/bin/python3.12")
    assert bootstrap.choose_python((3, 9), None) == "/usr/bin/python3.12"
    assert capsys.readouterr().out == (
        "setup: python3 is Python 3.9, which is not supported: /usr/bin/python3.12 is used\n"
    )
    assert bootstrap.choose_python((3, 9), "python3.9") is None  # and check_machine refuses it
    assert bootstrap.choose_python((3, 11), None) is None
    assert capsys.readouterr().out == ""


def test_a_shim_of_another_version_is_not_found_as_a_supported_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    for minor in (10, 11, 12, 13):
        shim(folder, f"python3.{minor}", answer="3.8")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    assert bootstrap.find_supported_python() is None
    shim(folder, "python3.13", answer="3.13")
    assert bootstrap.find_supported_python() == str(folder / "python3.13")


class Process:
    """A process that is not done at the first looks."""

    def __init__(self, looks: int, status: int = 0) -> None:
        self.looks, self.status = looks, status

    def wait(self, timeout: float) -> int:
        self.looks -= 1
        if self.looks >= 0:
            raise subprocess.TimeoutExpired("command", timeout)
        return self.status


def test_progress_is_shown_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(bootstrap.time, "time", lambda: next(clock))
    assert bootstrap.watched(Process(5, 3), lambda: "40 % compiled") == 3
    assert capsys.readouterr().out == "setup:   40 % compiled, 40 s\nsetup:   40 % compiled, 80 s\n"
    assert bootstrap.watched(Process(5), None) == 0 and capsys.readouterr().out == ""


def test_progress_stays_in_one_line_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.sys.stdout, "isatty", lambda: True)
    clock = iter(range(100))
    monkeypatch.setattr(bootstrap.time, "time", lambda: next(clock))
    assert bootstrap.watched(Process(2), lambda: "9 packages found") == 0
    shown = capsys.readouterr().out
    assert "\n" not in shown and shown.endswith("9 packages found, 2 s\r\x1b[K")


def test_progress_of_pip_and_of_the_compiler_is_read_from_their_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Collecting numpy==2.0\n  Downloading numpy-2.0-cp311.whl (18.2 MB)\nCollecting torch==2.13\n"
    assert bootstrap.installed_so_far("") == "0 packages found"
    assert bootstrap.installed_so_far(text) == "2 packages found, downloading numpy-2.0-cp311.whl (18.2 MB)"
    assert (
        bootstrap.installed_so_far(f"{text}Installing collected packages: a, b, c\n")
        == "installing 3 packages"
    )
    log = tmp_path / "stdout.log"
    monkeypatch.setattr(bootstrap, "BUILD_LOG", str(log))
    assert bootstrap.built_so_far("") == "configuring"
    log.write_text("-- Configuring done\n[  3%] Building C\n[ 41%] Linking\n")
    assert bootstrap.built_so_far("") == "41 % compiled"


def test_a_command_that_is_interrupted_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LOG", str(tmp_path / "log" / "setup.log"))
    monkeypatch.setattr(bootstrap, "LOOK_S", 0.01)
    monkeypatch.setattr(bootstrap, "SAY_S", 0.0)
    pid = tmp_path / "pid"

    def interrupt(text: str) -> str:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt
        return ""

    program = f"import os, signal; open({str(pid)!r}, 'w').write(str(os.getpid())); signal.pause()"
    with pytest.raises(KeyboardInterrupt):
        bootstrap.run([sys.executable, "-c", program], progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    monkeypatch.setattr(bootstrap, "SAY_S", 30.0)
    with pytest.raises(bootstrap.SetupError, match="failed with status 3"):
        bootstrap.run([sys.executable, "-c", "print('no'); raise SystemExit(3)"], progress=lambda text: text)
