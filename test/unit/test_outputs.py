"""Output files and folders: refused before anything is touched, locked, replaced only by something whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.outputs import (
    OutputError,
    check_new_file,
    check_output_file,
    check_output_folder,
    locked_folder,
    output_folder,
    replacing,
    write_atomically,
    write_json,
)


class Failure(Exception):
    """An error in the midst of writing."""


def fail_after(step: Callable[[], object]) -> None:
    step()
    raise Failure


RUN = {"marker": "result.json", "owned": ("result.json", "logs", "bag")}


def fill(folder: Path, text: str) -> None:
    (folder / "logs").mkdir()
    (folder / "logs" / "uav1.log").write_text(text)
    (folder / "result.json").write_text(text)


def finished_run(folder: Path, text: str = "first") -> Path:
    with output_folder(folder, **RUN) as work:
        assert work == folder
        fill(work, text)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_fresh_folder_holds_the_results_and_nothing_else(tmp_path: Path) -> None:
    assert content(finished_run(tmp_path / "a" / "run")) == {"logs/uav1.log": "first", "result.json": "first"}


def test_finished_results_are_refused_untouched_and_replaced_by_force(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    before = content(folder)
    with pytest.raises(OutputError, match="--force replaces them"), output_folder(folder, **RUN):
        pytest.fail("entered a folder with results")
    assert content(folder) == before
    with output_folder(folder, force=True, **RUN) as work:
        assert work != folder and work.name == folder.name and content(folder) | before == content(folder)
        fill(work, "second")
    assert content(folder) == {"logs/uav1.log": "second", "result.json": "second"}


def test_a_failed_replacement_leaves_the_earlier_results(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    with pytest.raises(Failure), output_folder(folder, force=True, **RUN) as work:
        fail_after(lambda: fill(work, "half"))
    assert (folder / "result.json").read_text() == "first"
    assert (folder / "unfinished" / "run" / "logs" / "uav1.log").read_text() == "half"
    with output_folder(folder, force=True, **RUN) as work:
        fill(work, "third")
    assert content(folder) == {"logs/uav1.log": "third", "result.json": "third"}


def test_leftovers_of_an_unfinished_run_do_not_block_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Failure), output_folder(folder, **RUN) as work:
        fail_after((work / "bag").mkdir)
    assert (folder / "bag").is_dir()
    assert content(finished_run(folder)) == {"logs/uav1.log": "first", "result.json": "first"}
    assert not (folder / "bag").exists()


def test_a_replacement_that_was_killed_at_any_moment_leaves_all_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    left = iter(range(0))

    def killed(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise Failure
        return rename(path, target)

    def replace_results(folder: Path) -> None:
        with output_folder(folder, force=True, **RUN) as work:
            fill(work, "second")
            monkeypatch.setattr(Path, "rename", killed)

    found = set()
    for moment in range(5):
        folder, left = finished_run(tmp_path / str(moment)), iter(range(moment))
        with pytest.raises(Failure):
            replace_results(folder)
        monkeypatch.undo()
        with pytest.raises(OutputError, match="finished results"), output_folder(folder, **RUN):
            pytest.fail("entered a folder with results")
        whole = {n: c for n, c in content(folder).items() if not n.startswith("unfinished")}
        assert whole.keys() == {"logs/uav1.log", "result.json"} and len(set(whole.values())) == 1
        found |= set(whole.values())
    assert found == {"first", "second"}


def test_results_that_cannot_be_made_again_are_kept_beside(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Failure), output_folder(folder, **RUN) as work:
        fail_after((work / "bag").mkdir)
    precious: dict[str, Any] = {**RUN, "worth_keeping": lambda path: (path / "bag").is_dir()}
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt"), output_folder(folder, **precious):
        pytest.fail("entered a stranger's folder")
    (folder / "notes.txt").unlink()
    with output_folder(folder, **precious) as work:
        fill(work, "second")
    (kept,) = tmp_path.glob("run-*")
    assert (kept / "bag").is_dir() and content(folder)["result.json"] == "second"


def test_what_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    with pytest.raises(OutputError, match=r"holds thesis\.tex"), output_folder(folder, force=True, **RUN):
        pytest.fail("entered a stranger's folder")
    assert content(folder) == {"thesis.tex": "years"}
    run = finished_run(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    with output_folder(run, force=True, **RUN) as work:
        fill(work, "second")
    assert content(run)["notes.txt"] == "mine" and content(run)["result.json"] == "second"


def test_a_folder_that_was_not_named_keeps_earlier_results_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    for text in ("first", "second", "third"):
        with output_folder(folder, keep_earlier=True, **RUN) as work:
            fill(work, text)
    kept = [content(p)["result.json"] for p in tmp_path.glob("demo-*")]
    assert sorted(kept) == ["first", "second"] and content(folder)["result.json"] == "third"
    assert not list(tmp_path.rglob(".lock")) and "are kept in" in capsys.readouterr().err


def test_a_second_writer_is_refused_by_name_and_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from rsdfm_ros.outputs import locked_folder\n"
        "with locked_folder(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "in\n"
        with pytest.raises(OutputError, match=rf"process {holder.pid}\) is writing there"):
            locked_folder(tmp_path / "run").__enter__()
    finally:
        holder.kill()
        holder.communicate()
    with locked_folder(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("check", [check_output_file, check_output_folder])
def test_places_that_cannot_be_written_are_named(tmp_path: Path, check: object) -> None:
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "file" / "below" / "x", "file is a file; choose another place"),
        (Path("/proc/rsdfm/x"), "cannot be written"),
        (tmp_path / ("n" * 300) / "x", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=words):
            check("--out", path)  # type: ignore[operator]
    check("--out", tmp_path / "a" / "b" / "c")  # type: ignore[operator]
    assert not (tmp_path / "a").exists()


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; expected a folder"):
        check_output_folder("--out", tmp_path / "file")
    with pytest.raises(OutputError, match="is a folder: expected the name of a file"):
        check_output_file("--json", tmp_path)


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "result.json"
    write_atomically(path, "old")
    with pytest.raises(Failure), replacing(path) as beside:
        fail_after(lambda: beside.write_text("half"))
    assert content(tmp_path) == {"sub/result.json": "old"}
    write_atomically(path, b"new")
    assert content(tmp_path) == {"sub/result.json": "new"}


def test_json_is_written_whole_and_never_with_numbers_that_json_has_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    write_json(path, {"iou": 0.5})
    assert path.read_text() == '{\n  "iou": 0.5\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"iou": float("nan")})
    assert json.loads(path.read_text()) == {"iou": 0.5} and [p.name for p in path.parent.iterdir()] == [
        path.name
    ]


def test_a_file_that_is_there_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(OutputError, match="--force replaces it"):
        check_new_file("--out", tmp_path / "a.json")
    check_new_file("--out", tmp_path / "a.json", force=True)
    check_new_file("--out", tmp_path / "b.json")


def test_links_stay_links_and_pipes_are_written_to(tmp_path: Path) -> None:
    """`--json /dev/stdout` is a link to a pipe or a terminal, which must not be replaced by a file."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "a.json")
    write_atomically(tmp_path / "link.json", "through")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "real" / "a.json").read_text() == "through"
    reading, writing = os.pipe()
    try:
        pipe = tmp_path / "stdout"
        pipe.symlink_to(f"/proc/self/fd/{writing}")
        check_output_file("--json", pipe)
        check_new_file("--json", pipe)
        write_atomically(pipe, "piped")
        assert os.read(reading, 100) == b"piped" and pipe.is_symlink()
    finally:
        os.close(reading)
        os.close(writing)


def test_a_full_disk_in_a_folder_is_said_of_the_folder(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    words = r"--out .*run cannot be written: No space left"
    with pytest.raises(OutputError, match=words), locked_folder(tmp_path / "run"):
        raise full
