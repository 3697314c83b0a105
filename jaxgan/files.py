"""Atomic writing of files: written under a temporary name, then renamed. And a reader of TFRecord files."""

import contextlib
import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_LONGEST = 180  # bytes of a name to keep in the temporary name, which must stay below 255


@contextlib.contextmanager
def whole(path: Path, suffix: str = "") -> Iterator[Path]:
    """A temporary name to write to, renamed to `path` if nothing fails. The last of several writers wins.

    Args:
      path: of the file.
      suffix: of the temporary name, for writers that look at it.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    temporary = path.with_name(f".{name}.{uuid.uuid4().hex}{suffix}")
    try:
        with named(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone; the first error is the one to report
            temporary.unlink()


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Adds the path to errors within: errors of a write have none, and a temporary name says nothing."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file atomically; text as UTF-8."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


# --- TFRecord files ------------------------------------------------------------------------------------

_RECORDS, _BYTES = 512, 2**24  # records verified at a time, which bounds the memory


class DamagedRecord(Exception):
    """A file of records is cut short, or a checksum is wrong; the message says which."""


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file, each with its two checksums verified.

    A record is its length (uint64, little-endian), the length's checksum, the data, and the data's checksum.

    Raises:
      DamagedRecord: after the last complete record.
    """
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        ended = False
        while left and not ended:
            heads, bodies, size = [], [], 0
            while left and not ended and len(bodies) < _RECORDS and size < _BYTES:
                head = file.read(12)
                length = int.from_bytes(head[:8], "little")
                if ended := left < 16 + length or len(head) < 12:
                    break
                heads.append(head)
                bodies.append(file.read(length + 4))
                left, size = left - 16 - length, size + length
            good = _are_whole(heads) & _are_whole(bodies)
            for body, is_good in zip(bodies, good.tolist(), strict=True):
                if not is_good:
                    raise DamagedRecord(f"a wrong checksum in {path}")
                yield body[:-4]
        if ended:
            raise DamagedRecord(f"{path} is cut short")


def _are_whole(parts: list[bytes]) -> np.ndarray:
    """bool [n]: whether each part ends with the checksum of the bytes before."""
    expected = np.array([int.from_bytes(part[-4:], "little") for part in parts], np.uint32)
    return _masked_crc32c([part[:-4] for part in parts]) == expected


def _masked_crc32c(parts: list[bytes]) -> np.ndarray:
    """uint32 [n]: CRC-32C (Castagnoli) of each part, masked as in TFRecord files.

    All parts are processed together, one byte of each at a time, aligned at their ends.
    """
    lengths = np.array([len(part) for part in parts], int)
    order = np.argsort(-lengths, kind="stable")
    width = lengths.max(initial=0)
    columns = np.zeros((width, len(parts)), np.uint8)
    for column, row in enumerate(order):
        columns[width - lengths[row] :, column] = np.frombuffer(parts[row], np.uint8)
    begun = np.searchsorted(-lengths[order], -np.arange(width, 0, -1), side="right")
    crc, table = np.full(len(parts), 0xFFFFFFFF, np.uint32), _crc32c_table()
    for byte, number in zip(columns, begun.tolist(), strict=True):
        now = crc[:number]
        crc[:number] = table[(now ^ byte[:number]) & 0xFF] ^ (now >> 8)
    crc = ~crc
    masked = np.empty_like(crc)
    masked[order] = (crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)
    return masked


@functools.cache
def _crc32c_table() -> np.ndarray:
    """uint32 [256]: of each byte, its remainder by the reflected polynomial."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)
    return table
