"""The end of every command and node: every cause becomes one sentence and an exit status.

Errors of this package, of the operating system and of missing memory are printed as sentences. Anything else is a fault
of this package: its traceback goes to a file that the sentence names. A closed reader of the output, such as `head`, is
not an error and prints nothing.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from rsdfm_ros import __version__
from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.settings import FormerNameWarning

EXIT_PROBLEMS = 1
"""The command found problems in what it was given to check."""
EXIT_ERROR = 2
"""An error that the user can act on, or a fault of this package; the sentence says which."""
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_READER_GONE = 141  # 128 + SIGPIPE, likewise

_REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "write to another disk, or raise the limit (ulimit -f)",
    errno.EROFS: "choose another place",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.ENOTDIR: "a part of the path is a file; choose another place",
    errno.EISDIR: "expected a file",
    errno.ENOENT: "check the path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: "close other programs, or ask for less at once",
}
_NO_SPACE = (
    os.strerror(errno.ENOSPC),
    os.strerror(errno.EFBIG),
    "disk is full",
    "PytorchStreamWriter failed writing",  # the only messages of torch.save
    "unexpected pos ",
)
_NO_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory")


def guarded(work: Callable[[], int]) -> int:
    """The exit status of `work`, whose errors are printed as sentences; standard output is flushed."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")  # a terminal without … or → must not end the command
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = work()
    except SystemExit as end:  # of argparse, which has printed its message
        if isinstance(end.__context__, BrokenPipeError):  # of rich, whose status 1 has another meaning here
            _discard(sys.stdout)
            return EXIT_READER_GONE
        if flushed := _flushed():
            return flushed
        if end.code is None or isinstance(end.code, int):
            raise
        return _fail(str(end.code))
    except BaseException as error:
        status = explain(error)
    return _flushed() or status


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print what a user has to change in one sentence, and any other warning as Python does."""
    if issubclass(category, FormerNameWarning):
        _say(f"warning: {message}")
    else:
        _say(warnings.formatwarning(message, category, filename, lineno, line).rstrip())


def explain(error: BaseException) -> int:
    """Print the sentence of an error; the exit status."""
    if isinstance(error, RsdfmError):
        return _fail(str(error))
    if interruption := next((e for e in _chain(error) if isinstance(e, KeyboardInterrupt)), None):
        # Compiled modules that are interrupted while they load may turn it into an error of their own.
        _say(f"interrupted{': ' + str(interruption) if str(interruption) else ''}")
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        _discard(sys.stdout)
        return EXIT_READER_GONE
    text = reason(error)
    if isinstance(error, OSError):
        return _fail(_of_the_system(error))
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return _fail(f"there is not enough memory ({text}): {_REMEDIES[errno.ENOMEM]}")
    if any(words in text for words in _NO_SPACE):
        return _fail(f"the disk is full ({text}): {_REMEDIES[errno.ENOSPC]}")
    if isinstance(error, UnicodeDecodeError):
        return _fail(
            f"a file is no text in UTF-8 ({text}): check that it is the kind of file that is expected"
        )
    if isinstance(error, ImportError) and not (error.name or "").startswith("rsdfm_ros."):
        return _fail(f"a package is missing or damaged ({text}): run `make setup`, then `./rsdfm doctor`")
    where = _keep_traceback(error)
    fault = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _fail(f"unexpected {fault}; this is a fault of rsdfm_ros: please report it with {where}")


def _of_the_system(error: OSError) -> str:
    what = error.strerror or reason(error) or type(error).__name__
    place = "" if error.filename is None else f"{_name(error.filename)}: "
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{place}{what}" + (f"; {remedy}" if remedy else "")


def _name(filename: object) -> str:
    return os.fsdecode(filename) if isinstance(filename, str | bytes | os.PathLike) else str(filename)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _fail(sentence: str) -> int:
    _say(f"error: {sentence}")
    return EXIT_ERROR


def _say(sentence: str) -> None:
    try:
        print(sentence, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # the reader has closed it
        _discard(sys.stderr)


def _flushed() -> int:
    """Flush standard output now, as at the end of the interpreter an error could not be reported; the exit status."""
    if sys.stdout is None or sys.stdout.closed:
        return 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
        return EXIT_READER_GONE
    except OSError as error:
        _discard(sys.stdout)
        return _fail(_of_the_system(OSError(error.errno, error.strerror, "standard output")))
    return 0


def _reader_is_gone() -> bool:
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _discard(stream: TextIO | None) -> None:
    """Discard the data left in the stream's buffer without an error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        target = stream.fileno()  # type: ignore[union-attr]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, target)
        os.close(nowhere)


def _keep_traceback(error: BaseException) -> str:
    """Write the traceback to a file; its name, or the traceback itself if no file can be written."""
    trace = "".join(traceback.format_exception(error))
    text = f"rsdfm_ros {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n\n{trace}"
    home = os.environ.get("ROS_HOME") or Path.home() / ".ros"
    for folder in (os.environ.get("ROS_LOG_DIR"), Path(home) / "log", tempfile.gettempdir()):
        if not folder:
            continue
        with contextlib.suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)
            options = {"prefix": "rsdfm-error-", "suffix": ".log", "dir": folder}
            with tempfile.NamedTemporaryFile("w", delete=False, encoding="utf-8", **options) as file:
                file.write(text)
            return str(Path(file.name).absolute())
    return f"this:\n{trace}"
