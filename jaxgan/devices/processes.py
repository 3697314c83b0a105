"""Several processes that train one run: how they connect, agree and end.

Process 0 hosts JAX's coordination service, which connects them. Process 0 alone writes files, prints and
evaluates; the others get results by `from_first`. If a process fails, it tells the others, which end at once
with its status. If one disappears (SIGKILL, a machine that crashes), either a collective fails, and processes
end with `LostProcess`; or JAX's heartbeats time out, and its runtime ends the process with SIGABRT.

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

HEARTBEAT_TIMEOUT = (
    30  # seconds without a heartbeat after which a process counts as dead; JAX's default is 100
)
CONNECT_TIMEOUT = 300  # seconds in which all processes must have started
_FOREVER = 10**9  # milliseconds: eleven days
_FAILURE = "jaxgan/failure"
_numbers = itertools.count()
# Messages of collectives, the coordination service and Orbax's barriers when another process is gone.
_GONE = re.compile(
    r"[Gg]loo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|Socket closed|Connection reset|[Cc]oordination ?[Ss]ervice|"
    r"heartbeat|[Bb]arrier"
)


def connect(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Connects to the other processes. This must come first, before JAX initializes its devices.

    Args:
      coordinator: 'host:port' of process 0, which opens this port; None: JAX finds it, under SLURM and Open
        MPI and on TPU pods.
      num_processes: their number.
      process_id: the number of this one, from 0.

    Raises:
      UserError: the others are not known, or were not reached.
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
    # JAX handles SIGTERM as a notice of preemption: restore Python's handler.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    _listener.start()
    if _process_id():  # devices must not be initialized yet
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
    """Whether this is one of several processes; does not initialize JAX's devices."""
    return _client() is not None


def is_first() -> bool:
    """Whether this is process 0: the one that writes, prints and evaluates."""
    return not connected() or jax.process_index() == 0


def from_first(compute: Callable[[], Any]) -> Any:
    """Broadcasts the JSON value of `compute()`, which only process 0 calls.

    All processes must call this. If `compute` raises, the others end with process 0.
    """
    if not connected():
        return compute()
    key = f"jaxgan/value/{next(_numbers)}"
    if is_first():
        _client().key_value_set(key, json.dumps(compute()))
    return json.loads(_client().blocking_key_value_get(key, _FOREVER))


def first_then_others(make: Callable[[], T]) -> T:
    """Calls `make()` in process 0, then in all others, which find its result in a cache."""
    if not is_first():
        from_first(lambda: None)
        return make()
    made = make()
    from_first(lambda: None)
    return made


def require_same(what: str, value: Any) -> None:
    """UserError in every process whose JSON value differs from that of process 0."""
    if json.dumps(from_first(lambda: value)) != json.dumps(value):
        raise UserError(
            f"{what} differs between process 0 and process {jax.process_index()}: start all processes with "
            "the same command, on machines that see the same files"
        )
    if connected():  # no process continues before all have compared it
        _client().wait_at_barrier(f"jaxgan/same/{next(_numbers)}", _FOREVER)


class Agreement:
    """Lets all processes stop at the same call: `agree(signal) -> signal or 0`.

    The largest signal of any process is reduced over the devices, after the call that was just dispatched. It
    is read at the next call, so no process waits for it, and all read the same. A single process gets its own
    signal at once.
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
    """Whether an error or its cause says that another process of this run is gone."""
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
    """Ends this process, one of several, with `status`, and ends the others; does not return.

    For the others a crash (1) is a lost process. JAX's own shutdown would wait for the others, and they for
    this one.
    """
    told = LostProcess.exit_status if status == 1 else status
    value = json.dumps({"process": _process_id(), "status": told, "message": message})
    try:
        _client().key_value_set(_FAILURE, value)
    except Exception:  # another process was faster, or the service is gone
        pass
    _exit(status)


def leave() -> None:
    """Ends a finished run in all its processes; the first waits for the last."""
    if connected():
        _client().wait_at_barrier("jaxgan/end", _FOREVER)
        if is_first():
            _client().key_value_set(_FAILURE, "null")
        _listener.join()


def _end_with_others() -> None:
    """Waits until any process fails, and then ends this one."""
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
    if not _ending.acquire(blocking=False):  # another thread is ending the process
        time.sleep(_FOREVER)
    # wait until the others have the message before connections break: process 0 hosts the service that
    # carries it
    time.sleep(4 * _LINGER if _process_id() == 0 else _LINGER)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _process_id() -> int:
    """Like jax.process_index(), but without waiting for the backend."""
    from jax._src import distributed

    return distributed.global_state.process_id


def _client():
    from jax._src import distributed  # not public, but Orbax uses it, too

    return distributed.global_state.client
