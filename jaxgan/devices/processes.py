"""Several processes that train one run together: how they meet, how they agree, and how they end.

JAX's coordination service, which process 0 hosts, connects them. Process 0 alone writes files, prints and
evaluates; what the others must know of it they get with `from_first`. Where a process fails, it tells the
others, which end at once with its status. Where one is lost without a word (SIGKILL, a machine that dies),
either a collective fails, which ends a process with `LostProcess`, or JAX's heartbeats time out, upon which
its runtime ends the process with SIGABRT.

With a single process all of this does nothing.
"""

import itertools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.errors import LostProcess, UserError

T = TypeVar("T")

HEARTBEAT_TIMEOUT = 30  # seconds without a sign of life after which a process is dead; JAX's own is 100
CONNECT_TIMEOUT = 300  # seconds in which all processes must have started
_FOREVER = 10**9  # milliseconds: eleven days
_FAILURE = "jaxgan/failure"
_numbers = itertools.count()
# What a collective, the coordination service or Orbax's barriers say where another process is gone.
_GONE = re.compile(
    r"[Gg]loo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|Socket closed|Connection reset|[Cc]oordination ?[Ss]ervice|"
    r"heartbeat|[Bb]arrier"
)


def connect(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Meets the other processes: before anything else, as JAX must not have looked for devices yet.

    Args:
      coordinator: 'host:port' of process 0, which opens the port there; None: JAX finds out, under SLURM and
        Open MPI and on TPU pods.
      num_processes: how many there are.
      process_id: which this is, from 0.

    Raises:
      UserError: it does not know where the others are, or did not reach them.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise UserError("--coordinator, --num_processes and --process_id go together: give all, or none")
    if all(given):
        _check_flags(coordinator, num_processes, process_id)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if all(given) else None,
            initialization_timeout=CONNECT_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        )
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"could not meet the other processes of the run ({reason}): start all of them within "
            f"{CONNECT_TIMEOUT} seconds, with srun, with mpirun or on a TPU pod, or give --coordinator, "
            "--num_processes and --process_id"
        ) from error
    # JAX has taken SIGTERM for its own notice of preemption: back to Python's idea of it.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    _listener.start()
    if _process_id():  # devices are not to be looked for yet
        sys.stdout = open(os.devnull, "w", encoding="utf-8")


def _check_flags(coordinator: str, num_processes: int, process_id: int) -> None:
    if not re.fullmatch(r".+:\d+", coordinator):
        raise UserError(f"--coordinator={coordinator}: give HOST:PORT of process 0, such as 10.0.0.1:12345")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} of --num_processes={num_processes}: number them from 0 to "
            f"{num_processes - 1}"
        )


def connected() -> bool:
    """Whether this is one of several processes; it does not make JAX look for devices."""
    return _client() is not None


def is_first() -> bool:
    """Whether this is process 0: the one that writes, prints and evaluates."""
    return not connected() or jax.process_index() == 0


def from_first(compute: Callable[[], Any]) -> Any:
    """What `compute()` gives in process 0, a JSON value, in all processes; the others do not call it.

    All processes must come here alike. If it raises, the others end with process 0.
    """
    if not connected():
        return compute()
    key = f"jaxgan/value/{next(_numbers)}"
    if is_first():
        _client().key_value_set(key, json.dumps(compute()))
    return json.loads(_client().blocking_key_value_get(key, _FOREVER))


def first_then_others(make: Callable[[], T]) -> T:
    """`make()` in process 0, then in all others at once: these find what it has left in a cache."""
    if not is_first():
        from_first(lambda: None)
        return make()
    made = make()
    from_first(lambda: None)
    return made


def require_same(what: str, value: Any) -> None:
    """UserError in every process where the JSON value differs from that of process 0."""
    if json.dumps(from_first(lambda: value)) != json.dumps(value):
        raise UserError(
            f"{what} differs between process 0 and process {jax.process_index()}: start all processes with "
            "the same command, on machines that see the same files"
        )
    if connected():  # nobody goes on before all have found it the same
        _client().wait_at_barrier(f"jaxgan/same/{next(_numbers)}", _FOREVER)


class Agreement:
    """Whether to stop, decided by all processes at the same call: `agree(signal) -> signal or 0`.

    The largest signal that any process has seen, reduced over the devices behind the call that was just
    dispatched, and read at the next one, when that call is done: nobody waits for it, and all read the same.
    With a single process, its own signal at once.
    """

    def __init__(self):
        self._pending: jax.Array | None = None
        if connected():
            mesh = Mesh(np.array(jax.devices()), ("device",))
            self._sharding = NamedSharding(mesh, PartitionSpec("device"))
            self._max = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))

    def __call__(self, signal: int) -> int:
        if not connected():
            return signal
        signals = np.full(jax.local_device_count(), signal, np.int32)
        before = self._pending
        self._pending = self._max(jax.make_array_from_process_local_data(self._sharding, signals))
        return 0 if before is None else int(before)


# --- The end ------------------------------------------------------------------------------------------


def is_loss(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that another process of this run is gone."""
    if not connected():
        return False
    while error is not None:
        if isinstance(error, LostProcess) or (
            isinstance(error, ValueError | RuntimeError | TimeoutError) and _GONE.search(str(error))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def fail(status: int, message: str) -> None:
    """Ends this process, which is one of several, with `status`, and the others with it; does not return.

    For the others a crash (1) is the loss of a process. JAX's own way out would wait for the others, and they
    for this one.
    """
    told = LostProcess.exit_status if status == 1 else status
    value = json.dumps({"process": _process_id(), "status": told, "message": message})
    try:
        _client().key_value_set(_FAILURE, value)
    except Exception:  # another was faster, or the service is gone
        pass
    _exit(status)


def leave() -> None:
    """Ends a run that is done in all its processes; the first that is done waits for the last."""
    if connected():
        _client().wait_at_barrier("jaxgan/end", _FOREVER)
        if is_first():
            _client().key_value_set(_FAILURE, "null")
        _listener.join()


def _end_with_others() -> None:
    """Waits for the failure of any process, and ends this one with it."""
    try:
        told = json.loads(_client().blocking_key_value_get(_FAILURE, _FOREVER))
    except Exception:  # the service is gone: JAX's runtime is about to end this process
        return
    if told and told["process"] != _process_id():
        print(f"ended with process {told['process']}: {told['message']}", file=sys.stderr)
        _exit(told["status"])


_LINGER = 0.5  # seconds
_ending = threading.Lock()
_listener = threading.Thread(target=_end_with_others, daemon=True)


def _exit(status: int) -> None:
    if not _ending.acquire(blocking=False):  # another thread is at it
        time.sleep(_FOREVER)
    # until the others have heard it: first they are told, then connections break; with process 0 goes what
    # carries the message
    time.sleep(4 * _LINGER if _process_id() == 0 else _LINGER)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _process_id() -> int:
    """As jax.process_index(), but it does not wait for the backend."""
    from jax._src import distributed

    return distributed.global_state.process_id


def _client():
    from jax._src import distributed  # not public, and what Orbax uses too

    return distributed.global_state.client
