"""Errors for refused packets and frames: one root, typed children that carry facts, a slug each for counting.

Everything received over the air is untrusted. A receiver catches :class:`WireError`, counts ``error.reason`` and goes
on; the message is for people. ``reason`` is stable: it is what diagnostics and result files count by.
"""

from __future__ import annotations

from rsdfm_ros.errors import RsdfmError


class WireError(RsdfmError):
    """A packet or frame that must not be used."""

    reason: str = "wire_error"


class InvalidFrame(WireError):
    """A frame whose arrays contradict each other: wrong dtype, shape, order or range. A fault of the caller."""

    reason = "invalid_frame"

    def __init__(self, field: str, expected: str, actual: object) -> None:
        self.field, self.expected, self.actual = field, expected, actual
        super().__init__(f"{field}: expected {expected}, got {actual}")


class Truncated(WireError):
    """Fewer bytes than the header or a table announces."""

    reason = "truncated"

    def __init__(self, part: str, expected: int, actual: int) -> None:
        self.part, self.expected, self.actual = part, expected, actual
        super().__init__(f"the packet ends inside its {part}: {expected} bytes expected, {actual} there")


class TrailingBytes(WireError):
    """More bytes than the header announces."""

    reason = "trailing_bytes"

    def __init__(self, expected: int, actual: int) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(f"{actual} bytes arrived where the header announces {expected}")


class BadMagic(WireError):
    """Not a message of the expected kind at all."""

    reason = "bad_magic"

    def __init__(self, actual: bytes, expected: bytes = b"RSDF") -> None:
        self.expected, self.actual = expected, actual
        super().__init__(f"expected a packet that starts with {expected!r}, got {actual!r}")


class UnsupportedVersion(WireError):
    """A packet of another version of the format."""

    reason = "unsupported_version"

    def __init__(self, expected: int, actual: int) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(
            f"this software reads version {expected} of the packet format, the packet has {actual}"
        )


class UnknownKind(WireError):
    """A kind of packet that this version of the format does not define."""

    reason = "unknown_kind"

    def __init__(self, actual: int) -> None:
        self.actual = actual
        super().__init__(f"expected kind 0 (compressed) or 1 (dense), got {actual}")


class ReservedBits(WireError):
    """A field that must be zero is not."""

    reason = "reserved_bits"

    def __init__(self, field: str, actual: int) -> None:
        self.field, self.actual = field, actual
        super().__init__(f"{field} must be zero in this version, got {actual:#x}")


class FingerprintMismatch(WireError):
    """The sender runs another model: its features cannot be used."""

    reason = "fingerprint_mismatch"

    def __init__(self, expected: int, actual: int) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(
            f"the sender's model has fingerprint {actual:016x}, ours {expected:016x}: "
            "run the same weights on every UAV"
        )


class OverLimit(WireError):
    """A count or size above the limits of this receiver."""

    reason = "over_limit"

    def __init__(self, field: str, limit: float, actual: float) -> None:
        self.field, self.limit, self.actual = field, limit, actual
        super().__init__(f"{field} is {actual}, at most {limit} is accepted")


class CountMismatch(WireError):
    """Counts of the header that contradict each other or the kind of packet."""

    reason = "count_mismatch"

    def __init__(self, field: str, expected: int | str, actual: int) -> None:
        self.field, self.expected, self.actual = field, expected, actual
        super().__init__(f"{field}: expected {expected}, got {actual}")


class ChecksumMismatch(WireError):
    """CRC-32 of the packet does not match: damaged on the way."""

    reason = "checksum_mismatch"

    def __init__(self, expected: int, actual: int) -> None:
        self.expected, self.actual = expected, actual
        super().__init__(f"the packet announces CRC-32 {expected:08x}, its bytes have {actual:08x}")


class TileOutOfBounds(WireError):
    """A tile key beyond the area this receiver accepts."""

    reason = "tile_out_of_bounds"

    def __init__(self, tile: tuple[int, int], limit: int) -> None:
        self.tile, self.limit = tile, limit
        super().__init__(f"tile {tile} lies outside ±{limit} tiles of the map origin")


class TilesUnsorted(WireError):
    """Tile keys that are not strictly increasing: unsorted or duplicate."""

    reason = "tiles_unsorted"

    def __init__(self, row: int) -> None:
        self.row = row
        super().__init__(f"tile keys must strictly increase, row {row} does not")


class CellsUnsorted(WireError):
    """Cell indices of a tile that are not strictly increasing: unsorted or duplicate."""

    reason = "cells_unsorted"

    def __init__(self, row: int) -> None:
        self.row = row
        super().__init__(f"cell indices must strictly increase within a tile, tile row {row} has others")


class NonFinite(WireError):
    """NaN, infinity, or a quantisation scale that is not positive."""

    reason = "non_finite"

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(f"{field} must be finite (and positive where it is a scale)")


class DecodedSizeMismatch(WireError):
    """The body does not decompress to the size that the header's counts imply."""

    reason = "decoded_size_mismatch"

    def __init__(self, expected: int, actual: int | None) -> None:
        self.expected, self.actual = expected, actual
        got = "something else" if actual is None else f"{actual}"
        super().__init__(f"the body must decompress to exactly {expected} bytes, it holds {got}")


class CorruptBody(WireError):
    """The body is not one whole zstd frame, or the words behind it are not what an encoder makes."""

    reason = "corrupt_body"

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(f"the body cannot be decoded: {detail}")


class PacketTooSmall(WireError):
    """A single tile does not fit into one packet: the packet limit is too small for this model."""

    reason = "packet_too_small"

    def __init__(self, tile: tuple[int, int], limit: int, actual: int) -> None:
        self.tile, self.limit, self.actual = tile, limit, actual
        super().__init__(
            f"tile {tile} alone needs {actual} bytes, max_packet_bytes is {limit}: raise max_packet_bytes"
        )


class InconsistentParts(WireError):
    """Parts of one frame that contradict each other: other model, channels or scales, or a tile sent twice."""

    reason = "inconsistent_parts"

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(f"parts of one frame contradict each other: {detail}")
