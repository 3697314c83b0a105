"""Files with the weights of an extractor: an .npz with arrays by path, and facts as JSON."""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from flax.traverse_util import flatten_dict, unflatten_dict

_ABOUT = "about"  # the entry with JSON


def digest(weights: dict[str, Any]) -> str:
    """BLAKE2b of nested dicts of arrays: paths, types, shapes and bytes."""
    content = hashlib.blake2b(digest_size=16)
    for path, leaf in sorted(flatten_dict(weights, sep="/").items()):
        leaf = np.ascontiguousarray(leaf)
        content.update(f"{path}|{leaf.dtype.str}{leaf.shape}|".encode())
        content.update(leaf)
    return content.hexdigest()


def write(path: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
    """Writes nested dicts of arrays, and JSON values, atomically."""
    with _temporary(path, weights, about) as temporary:
        os.replace(temporary, path)


@contextlib.contextmanager
def _temporary(path: Path, weights: dict[str, Any], about: dict[str, Any]) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.npz")
    arrays = {key: np.asarray(leaf) for key, leaf in flatten_dict(weights, sep="/").items()}
    about = json.dumps({**about, "digest": digest(weights)})
    try:
        np.savez(temporary, **arrays, **{_ABOUT: np.array(about)})
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def store(
    path: Path, weights: dict[str, Any], about: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes to a cache, or warns if this is impossible; returns the weights to use.

    If several processes make the same file at once, all use the one that was written first.
    """
    try:
        with _temporary(path, weights, about) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                with contextlib.suppress(ValueError):  # damaged: it is replaced
                    return read(path)
                os.replace(temporary, path)
            except OSError:  # a file system without hard links
                os.replace(temporary, path)
    except OSError as error:
        logging.warning("cannot keep %s (%s): it is made every time", path, error.strerror)
    return weights, about


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights that `write` wrote, and the facts about them.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it is something else, or damaged.
    """
    try:
        # opened here, because NumPy leaves the file open if the content is damaged
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        about = json.loads(str(arrays.pop(_ABOUT)))
        weights = unflatten_dict(arrays, sep="/")
        if digest(weights) != about["digest"]:
            raise ValueError("the content differs from its digest")
        return weights, about
    except OSError:
        raise
    except Exception as error:  # a damaged .npz may raise any of five kinds
        raise ValueError(f"{path}: {str(error) or type(error).__name__}") from error
