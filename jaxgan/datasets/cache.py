"""The cache of decoded data sets: uint8 .npy files, which are memory-mapped.

An entry is a folder `<cache>/datasets/<name>-<key>/` with `examples.npy`, `labels.npy` where there are
labels, and `meta.json`. It is written in chunks under a temporary name and renamed when complete. So crashes
do no harm, and sets may be larger than memory. Entries may be deleted at any time.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from absl import logging

from jaxgan.datasets.dataset import Digest, Fingerprint
from jaxgan.errors import UserError

_FORMAT = 1  # increase it when decoding, resizing or this layout change, so that old entries are not used
_VERIFY_BELOW = 1 << 28  # bytes; the whole content of smaller sets is checked at every start (~0.1 s)

_MOST_IN_MEMORY = 4 << 30  # bytes, if nothing can be written to disk

Chunks = Iterator[tuple[np.ndarray, np.ndarray | None]]


class Decoded(NamedTuple):
    """Examples [N, ...] (memory-mapped), labels int32 [N] or None, and the hash of both."""

    examples: np.ndarray
    labels: np.ndarray | None
    fingerprint: Digest


def folder() -> Path:
    """`$JAXGAN_CACHE_DIR`, else `$XDG_CACHE_HOME/jaxgan`, else `~/.cache/jaxgan`; in it, `datasets`.

    Raises:
      UserError: none of the variables is set, and there is no home directory.
    """
    try:
        if root := os.environ.get("JAXGAN_CACHE_DIR"):
            return Path(root).expanduser() / "datasets"
        root = os.environ.get("XDG_CACHE_HOME")
        return (Path(root).expanduser() if root else Path.home() / ".cache") / "jaxgan" / "datasets"
    except RuntimeError as error:
        raise UserError("there is no such home directory: set JAXGAN_CACHE_DIR to a folder") from error


def identity(files: Iterable[Path]) -> str:
    """Hash of the files' paths, sizes and times: shows changes without reading the files."""
    content = hashlib.blake2b(digest_size=16)
    for file in files:
        status = os.stat(file)
        content.update(os.fsencode(os.path.abspath(file)))  # a name need not be UTF-8
        content.update(f"|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return content.hexdigest()


def decoded(name: str, key: dict[str, Any], chunks: Callable[[], Chunks]) -> Decoded:
    """The cached entry for `key`, made from `chunks()` if there is none or it is damaged.

    Args:
      name: readable part of the entry's folder name.
      key: everything the content depends on, as JSON: the sources' `identity`, the split, the size.
      chunks: yields (examples [n, ...], labels [n] or None) in order. If the cache folder is not writable, it
        is called again, and the result is in memory.
    """
    key = {"format": _FORMAT, **key}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    entry = folder() / f"{name.replace('/', '-')}-{digest}"
    if (found := _read(entry)) is not None:
        return found
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    except OSError as error:
        return _in_memory(entry, error, chunks)
    try:
        return _make(entry, scratch, key, chunks)
    except _Unwritable as error:
        shutil.rmtree(scratch, ignore_errors=True)
        return _in_memory(entry, error, chunks)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Unwritable(Exception):
    """Writing an entry failed (not reading its source)."""


@contextlib.contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A new file to write. On a full disk closing fails, too; the first error must be reported."""
    with _writing():
        file = open(path, "wb")
    try:
        yield file
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        raise
    with _writing():
        file.close()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Unwritable(error.strerror or str(error)) from error


def _make(entry: Path, scratch: Path, key: dict[str, Any], chunks: Callable[[], Chunks]) -> Decoded:
    content, count, labels, shape, dtype = Fingerprint(), 0, [], (), np.dtype(np.uint8)
    with _written(scratch / "examples.npy") as file:
        for examples, some_labels in chunks():
            with _writing():  # plain writes, because a full disk under a memory map raises SIGBUS
                if not count:
                    shape, dtype = examples.shape[1:], examples.dtype
                    header = _write_header(file, (0, *shape), dtype)
                file.write(np.ascontiguousarray(examples).data)
            content.update(examples)
            labels += [] if some_labels is None else [some_labels]
            count += len(examples)
        if not count:
            raise UserError(f"{entry.name}: there are no examples in it; fetch or prepare the data set again")
        with _writing():
            file.seek(0)
            # NumPy pads headers so that the first axis may grow in place.
            if _write_header(file, (count, *shape), dtype) != header:
                raise OSError("the .npy header changed its length")
    joined = np.concatenate(labels).astype(np.int32) if labels else None
    meta = {
        "key": key,
        "shape": [count, *shape],
        "dtype": dtype.str,
        "labels": joined is not None,
        "fingerprint": content.digest((count, *shape), dtype, joined),
    }
    with _writing():
        if joined is not None:
            np.save(scratch / "labels.npy", joined)
        (scratch / "meta.json").write_text(
            json.dumps({**meta, "digest": _meta_digest(meta)}, indent=1), encoding="utf-8"
        )
        was_there = entry.exists()
        if (found := _read(entry)) is not None:  # another process was faster: use its entry
            return found
        if was_there:  # damaged
            shutil.rmtree(entry, ignore_errors=True)
        try:
            scratch.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process was faster still
                raise
    found = _read(entry)
    if found is None:
        raise _Unwritable("the entry just written cannot be read back")
    return found


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> int:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _read(entry: Path) -> Decoded | None:
    """The entry; None if it is absent, or damaged, which is logged."""
    try:
        if not stat.S_ISDIR(entry.stat().st_mode):
            return None
    except OSError:  # it is not there, or the name is impossible
        return None
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        if meta.pop("digest") != _meta_digest(meta):
            raise ValueError("meta.json was changed")
        examples = np.load(entry / "examples.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(entry / "labels.npy", allow_pickle=False) if meta["labels"] else None
        if list(examples.shape) != meta["shape"] or examples.dtype.str != meta["dtype"]:
            raise ValueError("examples.npy has another shape")
        if labels is not None and labels.shape != (len(examples),):
            raise ValueError("labels.npy has another length")
        if examples.nbytes < _VERIFY_BELOW:
            content = Fingerprint()
            content.update(examples)
            if content.digest(examples.shape, examples.dtype, labels) != meta["fingerprint"]:
                raise ValueError("the content was changed")
    except Exception as error:  # a damaged .npy header alone may raise any of five kinds
        logging.info("decoded copy %s is damaged (%s): making it again", entry, error)
        return None
    return Decoded(examples, labels, Digest(meta["fingerprint"]))


def _meta_digest(meta: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(meta, sort_keys=True).encode(), digest_size=16).hexdigest()


def _in_memory(entry: Path, error: Exception, chunks: Callable[[], Chunks]) -> Decoded:
    logging.warning(
        "cannot keep a decoded copy in %s (%s): decoding into memory at every start; "
        "set JAXGAN_CACHE_DIR to a folder with room", entry.parent, error
    )  # fmt: skip
    found, size = [], 0
    for chunk in chunks():
        found.append(chunk)
        size += chunk[0].nbytes
        if size > _MOST_IN_MEMORY:
            raise UserError(
                f"cannot keep a decoded copy in {entry.parent} ({error}), and it is large: set "
                "JAXGAN_CACHE_DIR to a folder with room"
            )
    examples, labels = zip(*found, strict=True)
    joined = None if labels[0] is None else np.concatenate(labels).astype(np.int32)
    examples = np.concatenate(examples)
    content = Fingerprint()
    content.update(examples)
    return Decoded(examples, joined, content.digest(examples.shape, examples.dtype, joined))
