"""The entropy coder: lossless, near the entropy, the same tables on every machine, and safe with any words."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsdfm_ros.wire import entropy
from rsdfm_ros.wire.entropy import (
    LOWEST,
    SIDE_BY_SIDE,
    STEPS,
    SYMBOLS_TOGETHER,
    Coded,
    carried_bytes,
    decode,
    decode_all,
    encode,
    lanes_of,
)
from rsdfm_ros.wire.errors import CorruptBody
from rsdfm_ros.wire.tables import PRECISION, TOTAL, Tables, fitted_tables, frequencies

BANDS = st.lists(
    hnp.arrays(
        np.int16,
        st.tuples(st.integers(0, 5), st.integers(0, 60)),
        elements=st.integers(-128, 127),
    ),
    min_size=1,
    max_size=3,
)


def latents(seed: int, channels: int, symbols: int, width: float = 1.3) -> np.ndarray:
    """Integers like coarse latents, each channel with a mean of its own."""
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(rng.normal(0, 1, (channels, 1)), width, (channels, symbols))).astype(np.int16)


def entropy_bytes(band: np.ndarray) -> float:
    """Order-0 entropy of the channels of a band."""
    total = 0.0
    for channel in band:
        _, counts = np.unique(channel, return_counts=True)
        total -= (counts * np.log2(counts / counts.sum())).sum() / 8
    return total


def coded(bands: list[np.ndarray], carried: bytes = b"") -> Coded:
    """Bands of latents with fitted tables."""
    tables = [fitted_tables(band) for band in bands if band.size]
    return Coded(tables, encode(bands, tables, carried), [band.shape for band in bands])


@settings(deadline=None)
@given(BANDS, st.binary(max_size=8))
def test_any_bands_come_back_with_what_they_carry(bands: list[np.ndarray], carried: bytes) -> None:
    stream = coded(bands, carried)
    found, room = decode(stream), carried_bytes(stream.shapes)
    assert len(stream.words) % 2 == 0
    assert found.carried == carried[:room].ljust(room, b"\0")
    for band, back in zip(bands, found.bands, strict=True):
        assert back.dtype == np.int16 and np.array_equal(back, band)


def test_data_that_the_states_carry_cost_nothing() -> None:
    bands = [latents(3, 16, 900)]
    room = carried_bytes([bands[0].shape])
    carried = np.random.default_rng(1).bytes(room)
    more = len(coded(bands, carried).words) - len(coded(bands).words)
    assert room == 2 * lanes_of(bands[0].size) and abs(more) < room / 4


@pytest.mark.parametrize("symbols", [1, 50, 300, 1500])
@pytest.mark.parametrize("width", [0.02, 0.4, 1.3, 4.0, 30.0])
def test_latents_take_hardly_more_than_their_entropy(symbols: int, width: float) -> None:
    band = latents(1, 16, symbols, width).clip(-127, 127)
    stream = coded([band])
    assert len(stream.tables[0].to_bytes()) == 2 + 2 * 16
    words = stream.words
    if symbols > max(200, 40 * width):  # of few symbols the entropy itself is estimated too low
        assert len(words) < 1.06 * entropy_bytes(band) + 4 * lanes_of(band.size) + 4


def test_many_zeros_beside_a_broad_distribution_are_learned() -> None:
    rng = np.random.default_rng(3)
    band = np.abs(latents(2, 8, 2000, 30.0)) * (rng.random((8, 2000)) < 0.4)
    assert len(coded([band.clip(0, 127).astype(np.int16)]).words) < 1.1 * entropy_bytes(band)


@given(
    lo=st.integers(-128, 127),
    size=st.integers(1, 255),
    triple=st.tuples(st.integers(0, 63), st.integers(0, 63), st.integers(0, 15)),
)
def test_every_table_gives_every_value_a_share(lo: int, size: int, triple: tuple[int, int, int]) -> None:
    parameters = (np.array([v], np.uint8) for v in triple)
    (table,) = frequencies(lo, min(lo + size - 1, 127), *parameters)
    assert table.sum() == TOTAL and table.min() >= 1


def reference_table(lo: int, hi: int, width: int, mean: int, zeros: int) -> list[int]:
    """A table as docs/wire_format.md describes it, value by value in exact fractions."""
    size = hi - lo + 1
    zero = min(max(-lo, 0), size - 1)
    gain = (2 + width % 2) * 2 ** (width // 2)
    weights = []
    for k in range(size):
        distance = 4 * (k - zero) - (mean - 32) * (1 if size <= 64 else 4)
        exponent = Fraction(distance**2 * gain, 8) // 1
        whole, part = divmod(exponent, 65536)
        weights.append(max(1, ((2**17 - part) * 2**13) // 2 ** min(whole, 31)))
    room = 2**14 - size
    extra = room * zeros // 16
    table = [1 + w * (room - extra) // sum(weights) for w in weights]
    table[table.index(max(table))] += 2**14 - extra - sum(table)
    table[zero] += extra
    return table


def test_tables_are_those_of_the_documentation_and_never_change() -> None:
    digest = hashlib.sha256()
    for lo, hi in ((-4, 4), (-15, 15), (-128, 127), (0, 90), (3, 3), (-128, -100)):
        w, m, z = (a.ravel() for a in np.mgrid[0:64:3, 0:64:7, 0:16:3].astype(np.uint8))
        tables = frequencies(lo, hi, w, m, z)
        digest.update(tables.astype("<u2").tobytes())
        for k in range(0, len(tables), 97):
            assert tables[k].tolist() == reference_table(lo, hi, int(w[k]), int(m[k]), int(z[k]))
    assert digest.hexdigest() == "4fba2c6b42abfe317bed1586c90c1a752982b30cf7be0c82bab459e88b3002b7"


def scalar_decode(tables: Tables, words: list[int], channels: int, symbols: int) -> list[int]:
    """The decoder as the documentation tells it, symbol by symbol."""
    rows, count = tables.frequencies(), channels * symbols
    lanes = -(-count // STEPS)
    states = [words[2 * k] << 16 | words[2 * k + 1] for k in range(lanes)]
    at, values = 2 * lanes, []
    for k in range(count):
        table, x = rows[k // symbols].tolist(), states[k % lanes]
        slot, start, value = x % 2**14, 0, 0
        while slot >= start + table[value]:
            start += table[value]
            value += 1
        x = table[value] * (x >> 14) + slot - start
        if x < 2**16:
            x, at = x << 16 | words[at], at + 1
        states[k % lanes] = x
        values.append(tables.lo + value)
    assert at == len(words) and all(x >> 16 == 1 for x in states)
    return values


def test_a_plain_decoder_reads_the_same() -> None:
    band = latents(5, 3, 700)
    stream = coded([band], b"other data")
    tables = Tables.from_bytes(stream.tables[0].to_bytes())
    read = scalar_decode(tables, np.frombuffer(stream.words, "<u2").tolist(), 3, 700)
    assert read == band.ravel().tolist()


def test_steps_are_bounded_and_lanes_are_few() -> None:
    for symbols in (1, STEPS, STEPS + 1, 100_000):
        assert (lanes_of(symbols) - 1) * STEPS < symbols <= lanes_of(symbols) * STEPS
    assert lanes_of(0) == 0 and encode([np.empty((3, 0), np.int16)], [], b"no room") == b""
    assert 1 << PRECISION <= LOWEST


BAND = latents(7, 4, 400)
STREAM = coded([BAND])
TABLES, WORDS = STREAM.tables, bytes(STREAM.words)


@pytest.mark.parametrize(
    "words",
    [
        b"",
        WORDS[:-2],
        WORDS[: 4 * lanes_of(BAND.size) - 2],
        WORDS + b"\0\0",
        b"\0\0" + WORDS[2:],
        WORDS[:40] + b"\xff\xff" + WORDS[42:],
    ],
    ids=["none", "one missing", "half the states", "one too many", "low state", "changed"],
)
def test_words_that_no_encoder_makes_are_refused(words: bytes) -> None:
    with pytest.raises(CorruptBody):
        decode(Coded(TABLES, words, [BAND.shape]))


@pytest.mark.parametrize("limits", [(1, 0), (127, -128)])
def test_impossible_ranges_are_refused(limits: tuple[int, int]) -> None:
    with pytest.raises(CorruptBody, match="values in"):
        Tables.from_bytes(np.array(limits, np.int8).tobytes() + bytes(8))


@given(st.binary(max_size=400), st.binary(min_size=8, max_size=8))
def test_noise_is_refused_or_read(noise: bytes, parameters: bytes) -> None:
    table = Tables.from_bytes(np.array([-15, 15], np.int8).tobytes() + parameters)
    try:
        (values,) = decode(Coded([table], noise[: len(noise) // 2 * 2], [(4, 20)])).bands
    except CorruptBody:
        return
    assert values.min() >= -15 and values.max() <= 15


def test_streams_decoded_side_by_side_are_those_decoded_alone_and_do_not_harm_each_other() -> None:
    rng = np.random.default_rng(11)
    bands = [
        [latents(k, int(rng.integers(1, 6)), int(rng.integers(1, 1500)))] for k in range(2 * SIDE_BY_SIDE)
    ]
    good = [coded(b, bytes([n] * 9)) for n, b in enumerate(bands)]
    bad = [Coded(TABLES, WORDS[:-2], [BAND.shape]), Coded(TABLES, WORDS + b"\0\0", [BAND.shape])]
    bad.append(Coded(TABLES, bytes(4) + WORDS[4:], [BAND.shape]))
    empty = Coded([], b"", [(1, 0), (0, 8)])
    streams = [bad[0], *good[:3], bad[1], empty, *good[3:], bad[2]]
    found = decode_all(streams)
    for stream, values in zip(streams, found, strict=True):
        if any(stream is b for b in bad):
            with pytest.raises(CorruptBody) as error:
                decode(stream)
            assert isinstance(values, CorruptBody) and str(values) == str(error.value)
        else:
            assert not isinstance(values, CorruptBody)
            alone = decode(stream)
            assert values.carried == alone.carried
            assert all(np.array_equal(a, b) for a, b in zip(values.bands, alone.bands, strict=True))
    read = {id(stream): values for stream, values in zip(streams, found, strict=True)}
    for stream, (band,) in zip(good, bands, strict=True):
        (values,) = read[id(stream)].bands  # type: ignore[union-attr]
        assert np.array_equal(values, band)


def test_long_streams_are_decoded_by_themselves_so_that_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together: list[int] = []
    original = entropy._decoded

    def noted(streams: list[object]) -> object:
        together.append(len(streams))
        return original(streams)  # type: ignore[arg-type]

    monkeypatch.setattr(entropy, "_decoded", noted)
    sizes = [SYMBOLS_TOGETHER // 2, SYMBOLS_TOGETHER // 2, 10, SYMBOLS_TOGETHER + 1, 10, 10, 10, 10, 10]
    bands = [np.full((1, size), 3, np.int16) for size in sizes]
    found = decode_all([coded([band]) for band in bands])
    assert together == [2, 1, 1, SIDE_BY_SIDE, 1]
    for band, values in zip(bands, found, strict=True):
        assert not isinstance(values, CorruptBody) and np.array_equal(values.bands[0], band)


def test_a_table_of_one_value_costs_no_words() -> None:
    band = np.full((2, 900), 7, np.int16)
    stream = coded([band])
    assert len(stream.words) == 4 * lanes_of(band.size)
    assert np.array_equal(decode(stream).bands[0], band)
