"""Pickles are read in a process of its own, which accepts plain containers, numbers and arrays and nothing else."""

from __future__ import annotations

import ast
import collections
import decimal
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.convert import pickled
from rsdfm_ros.data.convert.pickled import PickleError, read_pickles


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.what


def read(tmp_path: Path, value: Any, protocol: int = 2) -> Any:
    path = tmp_path / "value.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return read_pickles([path])[0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    value = {
        "agent_type": "drone",
        7: [1, -2.5, None, True, (3, 4)],
        "ordered": collections.OrderedDict(a=1),
        "set": {5},
        "K": np.array([[400.0, 0, 320], [0, 400, 180], [0, 0, 1]]),
        "f": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "big": np.arange(3, dtype=">i2"),
        "half": np.array([1.5], np.float16),
        "empty": np.zeros((0, 3)),
        "one": np.float32(0.25),
        "flag": np.bool_(True),
        "cube": np.arange(8, dtype=np.uint8).reshape(2, 2, 2),
    }
    found = read(tmp_path, value, protocol)
    assert found["7"] == [1, -2.5, None, True, [3, 4]]
    assert found["ordered"] == {"a": 1}
    assert found["set"] == [5]
    for name in ("K", "f", "big", "half", "empty", "cube"):
        assert found[name] == np.asarray(value[name]).tolist(), name
    assert (found["one"], found["flag"]) == (0.25, True)


def test_nothing_is_called_that_a_pickle_names(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for hostile in (
        Call(os.system, f"touch {trace}"),
        Call(eval, f"open({str(trace)!r}, 'w')"),
        Call(open, str(trace), "w"),
        Call(subprocess.Popen, ["touch", str(trace)]),
        Call(getattr, "text", "upper"),
        Call(__import__, "os"),
    ):
        with pytest.raises(PickleError, match=r"no plain container or array|cannot be read as a pickle"):
            read(tmp_path, {"a": [hostile]})
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (decimal.Decimal(1), "decimal.Decimal"),
        (np.array([None], object), "an array of type 'O8', expected numbers"),
        (np.array(["a"]), "expected numbers"),
        (np.array([1 + 2j]), "expected numbers"),
        ([b"bytes"], "holds bytes"),
        ({(1, 2): 3}, "keys that are no texts"),
        (np.float64, "numpy.float64"),
        (b"\x80\x04", "cannot be read as a pickle"),
        (b"", "cannot be read as a pickle"),
        (b"\x80\x02cos\nsystem\n.", "os.system"),
        (b"\x80\x02r\xff\xff\xff\xff.", "cannot be read as a pickle"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "cannot be read as a pickle"),
        (b"\x80\x02P1\n.", "cannot be read as a pickle"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(PickleError, match=words):
        read(tmp_path, value)


def test_arrays_with_forged_states_are_refused(tmp_path: Path) -> None:
    honest = pickle.dumps(np.arange(3.0), protocol=2)
    assert read(tmp_path, honest) == [0.0, 1.0, 2.0]
    count = b"K\x03\x85"
    assert count in honest
    with pytest.raises(PickleError, match="do not fit"):
        read(tmp_path, honest.replace(count, b"K\x04\x85"))
    with pytest.raises(PickleError, match="strange shape"):
        read(tmp_path, honest.replace(count, b"J" + struct.pack("<i", -3) + b"\x85"))
    with pytest.raises(PickleError, match="strange shape"):
        read(tmp_path, honest.replace(count, b"J" + struct.pack("<i", 2**31 - 1) + b"\x85"))


def test_what_grows_without_end_is_stopped(tmp_path: Path) -> None:
    lists: list[Any] = [0] * 10
    for _ in range(12):
        lists = [lists] * 10
    with pytest.raises(PickleError, match="more than 2000000 values"):
        read(tmp_path, lists)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PickleError, match="nested more than 32 deep"):
        read(tmp_path, endless)
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    with pytest.raises(PickleError, match="deep"):
        read(tmp_path, deep)


def test_a_missing_file_and_a_process_that_dies_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PickleError, match="cannot be read"):
        read_pickles([tmp_path / "none.pkl"])
    dying = tmp_path / "dying.py"
    dying.write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(pickled, "PROGRAM", dying)
    with pytest.raises(PickleError, match="ended the process that read it"):
        read(tmp_path, [1])


def test_several_are_read_by_one_process_and_the_refused_one_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.pkl" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(pickle.dumps({"n": n}))
    assert read_pickles(paths) == [{"n": 0}, {"n": 1}, {"n": 2}]
    paths[1].write_bytes(pickle.dumps(decimal.Decimal(2)))
    with pytest.raises(PickleError, match=r"1\.pkl: names decimal\.Decimal"):
        read_pickles(paths)


def test_nothing_imports_the_program_that_unpickles(root: Path) -> None:
    """The contract "Nothing unpickles" leaves out the import of pickle by this program, and by nothing else."""
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [n for n in names if n.endswith("convert.unpickle")], path
            assert path.name == "unpickle.py" or "pickle" not in names, path
