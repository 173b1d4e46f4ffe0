"""Reads pickles of plain containers, numbers and arrays, and writes them as JSON. A program of its own, never imported.

Reading a pickle calls what the pickle names. Here it can name nothing but OrderedDict, set, frozenset and the stand-ins
below, which are written so that any arguments are harmless: arrays of NumPy are taken apart by their dtype and bytes,
NumPy itself is not used. The process may neither write files nor open further ones, and its memory and time are
limited; `pickled.py` starts it without the user's site packages and environment.

Input: per pickle its length as 8 bytes, little-endian, and its bytes. Output: one line of JSON per pickle, an object
with `value` or with `error`, a sentence. Lists stand for tuples and sets, texts for keys of any type.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import re
import resource
import struct
import sys
from collections import OrderedDict
from typing import Any

MEMORY_BYTES = 1 << 30
CPU_S = 120
MAX_VALUES = 2_000_000
"""Values of one pickle, counted as they are written: what is shared counts every time."""
MAX_DEPTH = 32

_FORMATS = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q"}
_FORMATS |= {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "b1": "?"}


class Refused(Exception):
    """A pickle that holds something else than plain containers, numbers and arrays."""


class _Dtype:
    """Stands for numpy.dtype: number format and byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        match = re.fullmatch(r"([<>=|]?)([fiub][1248])", code) if isinstance(code, str) else None
        if match is None or match[2] not in _FORMATS:
            raise Refused(f"an array of type {str(code)[:40]!r}, expected numbers")
        self.order, self.format = match[1] or "=", _FORMATS[match[2]]

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise Refused("a type of array with a strange state")
        self.order = order

    def numbers(self, raw: object, count: int) -> tuple[Any, ...]:
        data = raw if isinstance(raw, bytes | bytearray) else None
        text = ("<" if self.order == "|" else self.order) + str(count) + self.format
        if data is None or count < 0 or count > MAX_VALUES or struct.calcsize(text) != len(data):
            raise Refused("an array whose bytes do not fit its shape and type")
        return struct.unpack(text, data)


class _Array:
    """Stands for numpy.ndarray: nested lists of numbers."""

    def __init__(self, *_: object) -> None:
        self.value: Any = []

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("an array with a strange state")
        _, shape, dtype, fortran, raw = state
        self.fill(shape, dtype, raw, bool(fortran))

    def fill(self, shape: object, dtype: object, raw: object, fortran: bool) -> None:
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(type(n) is int and 0 <= n <= MAX_VALUES for n in sizes) or len(sizes) > MAX_DEPTH:
            raise Refused("an array of a strange shape")
        if not isinstance(dtype, _Dtype):
            raise Refused("an array without a type of numbers")
        flat = dtype.numbers(raw, math.prod(sizes))
        order = range(len(sizes)) if fortran else range(len(sizes) - 1, -1, -1)
        strides, step = [0] * len(sizes), 1
        for axis in order:
            strides[axis], step = step, step * sizes[axis]

        def part(axis: int, start: int) -> Any:
            if axis == len(sizes):
                return flat[start]
            return [part(axis + 1, start + n * strides[axis]) for n in range(sizes[axis])]

        self.value = part(0, 0)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: object, raw: object = b"") -> Any:
    if not isinstance(dtype, _Dtype):
        raise Refused("a number without a type")
    return dtype.numbers(raw, 1)[0]


def _frombuffer(raw: object, dtype: object, shape: object, order: object = "C") -> _Array:
    array = _Array()
    array.fill(shape, dtype, raw, order == "F")
    return array


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    """Stands for _codecs.encode, by which old protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("bytes in a strange encoding")
    return text.encode("latin1")


def _no_bytes(*arguments: object) -> bytes:
    """Stands for bytes, which old protocols call for empty ones."""
    if arguments:
        raise Refused("bytes in a strange form")
    return b""


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    **{
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in (("set", set), ("frozenset", frozenset), ("bytes", _no_bytes))
    },
    **{(module, "_reconstruct"): _reconstruct for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _frombuffer for module in _NUMERIC},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise Refused(f"names {module[:80]}.{name[:80]}, which is no plain container or array") from None


class _Plain:
    """Turns what was read into lists, objects of JSON, texts and numbers, counting them."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1 + (len(value) >> 6 if isinstance(value, str) else 0)
        if self.left < 0:
            raise Refused(f"holds more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise Refused(f"is nested more than {MAX_DEPTH} deep")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, _Array):
            return self.of(value.value, depth)
        if isinstance(value, dict):
            return {self.key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(item, depth + 1) for item in value]
        raise Refused(f"holds {type(value).__name__}, which is no plain container, number or array")

    def key(self, key: Any) -> str:
        if isinstance(key, str | int | float | bool):
            return str(key)
        raise Refused("has keys that are no texts or numbers")


def answer(data: bytes) -> dict[str, Any]:
    """`value` or `error` of one pickle."""
    try:
        return {"value": _Plain().of(_Unpickler(io.BytesIO(data)).load())}
    except Refused as error:
        return {"error": str(error)}
    except Exception as error:  # whatever a damaged pickle raises
        return {"error": f"cannot be read as a pickle ({type(error).__name__})"}


def main() -> None:
    """Answer every pickle of the input."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(limit, (most, most))
    source, sink = sys.stdin.buffer, sys.stdout
    while len(head := source.read(8)) == 8:
        try:
            line = json.dumps(answer(source.read(int.from_bytes(head, "little"))))
        except (MemoryError, RecursionError, ValueError) as error:
            line = json.dumps({"error": f"is too large to be written as JSON ({type(error).__name__})"})
        sink.write(line + "\n")
    sink.flush()


if __name__ == "__main__":
    main()
