"""Which examples a step sees: a pure function of (key, step), the same in NumPy and in JAX.

Position p = step * batch + i belongs to epoch p // size. Every epoch shows each example once, in an order of
its own. A batch may contain the end of one epoch and the beginning of the next, or more than one epoch.
No permutation is stored. An epoch's order is a keyed bijection of range(size), evaluated only where needed: a
Feistel network over Z_a x Z_b with a * b >= size, iterated ("cycle walking") until the value falls inside.
Black & Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 5.

`balanced_rows` draws with replacement instead, all classes equally often. `draws` are plain random draws.

The orders are reproducible and look random, but are not cryptographically secure.
"""

import math
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

MAX_SIZE = 2**30  # so that the sum of two remainders is below 2^32
_ROUNDS = 8
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: spreads the round numbers
_EPOCH_SALTS = (0x243F6A88, 0x85A308D3)  # digits of pi; without them zeros would be mixed to zeros


class Groups(NamedTuple):
    """The examples of a data set by class, for the K classes that it has.

    Attributes:
      rows: int32 [N], the examples sorted by class, in their original order within a class.
      starts: int32 [K], where each class begins in `rows`.
      sizes: int32 [K], its number of examples.
    """

    rows: Int[np.ndarray, " N"]
    starts: Int[np.ndarray, " K"]
    sizes: Int[np.ndarray, " K"]


def rows(key, step, batch: int, size: int, first=0, count: int | None = None, *, xp: ModuleType = np):
    """The examples of one step, or of one device's share of it.

    Args:
      key: uint32 [2], the order's own key words.
      step: which step, 0 <= step < 2^32; with `xp=jnp` it may be a traced scalar.
      batch: examples in the whole step, over all devices; below 2^30.
      size: examples in the data set; below 2^30.
      first, count: only positions first ... first + count - 1 of the step's batch (default: all of it).
        `first` may be traced with `xp=jnp`: the share of a device under pmap.
      xp: `numpy` or `jax.numpy`; both give the same numbers.

    Returns:
      int32 [count], each in [0, size).
    """
    if not (0 < size < MAX_SIZE and 0 < batch < MAX_SIZE):
        raise ValueError(f"need 0 < size, batch < 2^30; got size {size}, batch {batch}")
    count = batch if count is None else count
    split = _split_host if xp is np else _split_device
    epoch, index = split(step, batch, size, first, count)
    return _permute(xp.asarray(key, dtype=xp.uint32), epoch, index, size, xp).astype(xp.int32)


def balanced_rows(
    key, step, batch: int, groups: Groups, first=0, count: int | None = None, *, xp: ModuleType = np
):
    """Like `rows`, but drawn with replacement: a uniform class, then a uniform example of that class.

    Each draw is a hash of (key, position) modulo n. So a probability may exceed 1/n by a factor of at most
    1 + n / 2^32 (1.000014 for 60,000).

    Args:
      groups: of `group_by_class`; arrays of either kind.
      key, step, batch, first, count, xp: as of `rows`.

    Returns:
      int32 [count], each a value of `groups.rows`.
    """
    if not 0 < batch < MAX_SIZE:
        raise ValueError(f"need 0 < batch < 2^30; got {batch}")
    count = batch if count is None else count
    split = _split_host if xp is np else _split_device
    block, index = split(step, batch, MAX_SIZE, first, count)  # the position in two words
    words = _words(xp.asarray(key, dtype=xp.uint32), block, xp)
    of_class, of_example = (_noise(index, words, r, xp) for r in range(2))
    examples, starts, sizes = (xp.asarray(part) for part in groups)
    drawn = of_class % xp.uint32(len(sizes))
    place = of_example % sizes[drawn].astype(xp.uint32)
    return examples[starts[drawn] + place.astype(xp.int32)]


def draws(key, index: Int[np.ndarray, " n"], size: int, num: int) -> Int[np.ndarray, "n num"]:
    """`num` independent draws from range(size) for each index, with replacement: a hash of (key, index).

    The hash is taken modulo `size`, as in `balanced_rows`.

    Args:
      key: uint32 [2].
      index: integers [n] from 0 to 2^32 - 1.
      size: how many to draw from, below 2^32.
      num: draws for each index.

    Returns:
      int64 [n, num].
    """
    words = _words(np.asarray(key, np.uint32), np.arange(num, dtype=np.uint32), np)
    index = np.asarray(index).astype(np.uint32)[:, None]
    return (_noise(index, words, 0, np) % np.uint32(size)).astype(np.int64)


def group_by_class(labels: Int[np.ndarray, " N"]) -> Groups:
    """The examples by class; `labels` int [N], classes are the values that occur."""
    if not 0 < len(labels) < MAX_SIZE:
        raise ValueError(f"need 0 < labels < 2^30; got {len(labels)}")
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    return Groups(*(part.astype(np.int32) for part in (order, starts, sizes)))


def _split_host(step, batch, size, first, count):
    """(epoch modulo 2^32, index within the epoch), uint32 [count] each, by Python's unbounded integers."""
    epoch, index = divmod(int(step) * batch + int(first), size)
    index = index + np.arange(count, dtype=np.int64)
    epoch = (epoch % 2**32 + index // size) % 2**32
    return epoch.astype(np.uint32), (index % size).astype(np.uint32)


def _split_device(step, batch, size, first, count):
    """The same without 64-bit integers: step * batch divided by size, one bit of `step` at a time."""
    step = jnp.asarray(step).astype(jnp.uint32)
    modulus = jnp.uint32(size)
    batch_epochs, batch_rest = (jnp.uint32(part) for part in divmod(batch, size))

    def carry(epoch, index):  # brings an index below 2 * size back below size
        over = index >= modulus
        return epoch + over.astype(jnp.uint32), jnp.where(over, index - modulus, index)

    def double_and_add(i, state):
        epoch, index = state
        bit = (step >> (jnp.uint32(31) - jnp.asarray(i).astype(jnp.uint32))) & jnp.uint32(1)
        epoch, index = carry(epoch * jnp.uint32(2), index * jnp.uint32(2))
        return carry(epoch + bit * batch_epochs, index + bit * batch_rest)

    zero = jnp.zeros_like(step)
    epoch, index = jax.lax.fori_loop(0, 32, double_and_add, (zero, zero), unroll=True)
    offset = jnp.asarray(first).astype(jnp.uint32) + jnp.arange(count, dtype=jnp.uint32)
    return carry(epoch + offset // modulus, index + offset % modulus)


def _permute(key, epoch, index, size, xp):
    """The example at each index in the order of (key, epoch). All uint32 [n]."""
    a = math.isqrt(size - 1) + 1
    b = -(-size // a)
    words = _words(key, epoch, xp)

    def feistel(x):
        left, right = x % xp.uint32(a), x // xp.uint32(a)
        for r in range(_ROUNDS):
            noise = _noise(right if r % 2 == 0 else left, words, r, xp)
            if r % 2 == 0:
                left = (left + noise % xp.uint32(a)) % xp.uint32(a)
            else:
                right = (right + noise % xp.uint32(b)) % xp.uint32(b)
        return left + right * xp.uint32(a)

    def outside(x):
        return (x >= xp.uint32(size)).any()

    def walk(x):
        return xp.where(x >= xp.uint32(size), feistel(x), x)

    x = feistel(index)
    if a * b == size:
        return x
    if xp is not np:
        return jax.lax.while_loop(outside, walk, x)
    while outside(x):
        x = walk(x)
    return x


def _words(key, epoch, xp):
    """Two words for each epoch, uint32 [n], each of which depends on all 64 bits of the key."""
    # One-element arrays, because NumPy warns when a scalar wraps around.
    words = [
        _mix(_mix(epoch + xp.uint32(salt), xp) ^ key[w : w + 1], xp) for w, salt in enumerate(_EPOCH_SALTS)
    ]
    return [words[0] ^ _mix(words[1], xp), words[1] + words[0]]


def _noise(x, words, r, xp):
    """The r-th hash of x under `words`, uint32 [n]."""
    return _mix(_mix(x + words[0] + xp.uint32(r * _GOLDEN % 2**32), xp) ^ words[1], xp)


def _mix(x, xp):
    """The finalizer of MurmurHash3 (A. Appleby, public domain): a bijection of uint32 that avalanches."""
    x = (x ^ (x >> xp.uint32(16))) * xp.uint32(0x85EBCA6B)
    x = (x ^ (x >> xp.uint32(13))) * xp.uint32(0xC2B2AE35)
    return x ^ (x >> xp.uint32(16))
