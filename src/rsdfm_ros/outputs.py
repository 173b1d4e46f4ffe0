"""Outputs of commands: checked before work begins, locked against a second writer, replaced only by complete ones.

The rule of every command: a place that cannot be written is refused before anything expensive starts; a folder that
holds finished results is refused untouched, unless it is to be overwritten, and then the earlier results stay until the
new ones are complete; files are written beside their final name and then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.words import command_line

LOCK = ".lock"
UNFINISHED = "unfinished"
"""Folder, inside an output folder with finished results, in which their replacement is written."""
_REPLACED, _COMPLETE = ".replaced", ".complete"
"""Folders for the earlier and the new results while they are exchanged."""
_BESIDE = ".*.tmp*"
"""Names that `replacing` writes to; left only by a process that was killed."""
_OURS = (_BESIDE, LOCK, UNFINISHED, _REPLACED, _COMPLETE)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class OutputError(RsdfmError):
    """An output file or folder that cannot be used."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` (same suffix) to write to; renamed to `path` at the end, removed after an error.

    Devices and pipes, such as /dev/stdout, are written to directly, and links stay links.
    """
    if _is_special(path):
        yield path
        return
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file such that a reader, now or after a crash, sees the old or the new content and nothing between."""
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        if not _is_special(beside):
            os.fsync(file.fileno())


def write_json(path: Path, content: Mapping[str, Any], *, indent: int = 2) -> None:
    """Write an object as JSON, as :func:`write_atomically` does. Raises: ValueError for numbers that are not finite."""
    write_atomically(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def check_output_file(option: str, path: Path) -> None:
    """Raise OutputError unless a file can be written at `path`; its folder need not exist yet.

    option: what the user gave the path with, such as `--json`.
    """
    if not _is_special(path):
        _check_ancestor(option, path, path.parent)
    if path.is_dir():
        raise OutputError(f"{option} {path} is a folder: expected the name of a file")


def check_new_file(option: str, path: Path, *, force: bool = False) -> None:
    """As `check_output_file`, and OutputError if the file is there already and is not to be overwritten."""
    check_output_file(option, path)
    if path.exists() and not force and not _is_special(path):
        raise OutputError(f"{option} {path} exists already: --force replaces it, another name keeps both")


def check_output_folder(option: str, path: Path) -> None:
    """Raise OutputError unless `path` is a folder that can be written, or can become one."""
    _check_ancestor(option, path, path)


def _check_ancestor(option: str, path: Path, folder: Path) -> None:
    try:
        path.exists()  # raises if a name is too long
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            wrong = (
                "expected a folder, or a name that is still free"
                if folder == path
                else "choose another place"
            )
            raise OutputError(f"{option} {path} cannot be used: {folder} is a file; {wrong}")
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not show read-only and special disks
            pass
    except OSError as error:
        raise OutputError(
            f"{option} {path} cannot be written: {folder}: {error.strerror}; choose another place"
        ) from error


@contextlib.contextmanager
def locked_folder(path: Path, option: str = "--out") -> Iterator[Path]:
    """Make the folder and keep other writers out of it; the lock ends with the process.

    Raises: OutputError if the folder cannot be used, or naming the process that writes there.
    """
    check_output_folder(option, path)
    made = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    lock = path / LOCK
    file = None
    while file is None:
        file = lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(lock)
            file.close()
            raise OutputError(
                f"{option} {path}: {holder} is writing there; wait for it to end, or choose another folder"
            ) from None
        if not _is_the_file(file.fileno(), lock):  # its last holder removed it meanwhile
            file.close()
            file = None
    with file:
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "command": command_line()}))
        file.flush()
        try:
            yield path
        except OSError as error:
            if error.filename is None and error.errno in _FULL:
                raise OutputError(f"{option} {path} cannot be written: {error.strerror}") from error
            raise
        finally:
            lock.unlink(missing_ok=True)
            if made and path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _is_the_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        content = json.loads(lock.read_text())
        return f"`{content['command']}` (process {content['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but the lock of the process that made it."""
    return folder.is_dir() and all(p.name == LOCK for p in folder.iterdir())


@contextlib.contextmanager
def output_folder(
    path: Path,
    *,
    marker: str | Callable[[Path], Path | None],
    owned: Sequence[str],
    force: bool = False,
    keep_earlier: bool = False,
    option: str = "--out",
    force_option: str = "--force",
    worth_keeping: Callable[[Path], bool] | None = None,
) -> Iterator[Path]:
    """Yield the folder to write new results to, locked; at the end `path` holds them.

    marker: file that only finished results have, such as result.json, or a function that finds it in a folder ·
    owned: patterns of the names that results consist of; whatever else lies in the folder is never touched · force:
    replace finished results; they stay until the new ones are complete, which are written to <path>/unfinished/ until
    then and stay there after an error · keep_earlier: rename a folder with finished results to <path>-<their date>
    instead of refusing it, for folders that the user did not name · worth_keeping: whether what an unfinished run left
    in a folder cannot be made again, such as a recording; the folder is then renamed likewise. Other leftovers of a run
    that did not finish are removed.
    Raises: OutputError before anything was touched.
    """
    check_output_folder(option, path)
    if (path / _REPLACED).is_dir():  # the process that was replacing results was killed
        with locked_folder(path, option):
            _settle(path)
    earlier = _marker_in(path, marker)
    if earlier is None and worth_keeping is not None and path.is_dir():
        # Never a folder that holds anything of others: renaming it would take that along.
        if all(_is_ours(p.name, owned) for p in path.iterdir()) and worth_keeping(path):
            _keep_beside(path, path, option)
    elif earlier is not None and keep_earlier and not force:
        _keep_beside(path, earlier, option)
    with locked_folder(path, option):
        finished = _marker_in(path, marker) is not None
        strangers = sorted(p.name for p in path.iterdir() if not _is_ours(p.name, owned))
        if strangers and not finished:
            raise OutputError(
                f"{option} {path} holds {', '.join(strangers[:3])} and no results of this command; "
                "choose another folder"
            )
        if finished and not force:
            raise OutputError(
                f"{option} {path} holds finished results; {force_option} replaces them, another {option} keeps both"
            )
        _remove(path / UNFINISHED)
        if not finished:
            for leftover in _owned_entries(path, owned):
                _remove(leftover)
            yield path
            return
        work = (
            path / UNFINISHED / path.resolve().name
        )  # the same name: bags name their files after their folder
        work.mkdir(parents=True)
        yield work
        (path / _REPLACED).mkdir()
        for old in _owned_entries(path, owned):
            old.rename(path / _REPLACED / old.name)
        work.rename(path / _COMPLETE)
        _settle(path)
        _remove(path / UNFINISHED)


def _settle(path: Path) -> None:
    """Bring a replacement to its end: to the new results if the earlier ones are out of the way, otherwise back."""
    complete, replaced = path / _COMPLETE, path / _REPLACED
    source = complete if complete.is_dir() else replaced
    for entry in list(source.iterdir()):
        entry.rename(path / entry.name)
    _remove(complete)
    _remove(replaced)


def _marker_in(path: Path, marker: str | Callable[[Path], Path | None]) -> Path | None:
    if callable(marker):
        return marker(path)
    return path / marker if (path / marker).is_file() else None


def _keep_beside(path: Path, dated: Path, option: str) -> None:
    """Rename a folder to <path>-<date of `dated`>."""
    with locked_folder(path, option):
        earlier = _free_name(path, dated.stat().st_mtime)
        path.rename(earlier)
        (earlier / LOCK).unlink(missing_ok=True)
    print(f"the earlier results of {path} are kept in {earlier}", file=sys.stderr, flush=True)


def _is_ours(name: str, owned: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in (*owned, *_OURS))


def _owned_entries(path: Path, owned: Sequence[str]) -> list[Path]:
    return [p for p in path.iterdir() if any(fnmatch(p.name, pattern) for pattern in (*owned, _BESIDE))]


def _free_name(path: Path, time_s: float) -> Path:
    stem = f"{path.name}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(time_s))}"
    names = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
    return next(p for p in map(path.with_name, names) if not p.exists())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
