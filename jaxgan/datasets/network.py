"""Checks within a fixed time whether the hosts of some addresses answer.

If a name server or a firewall drops packets, a plain request hangs for minutes and cannot be cancelled. So
each host is asked in a thread of its own. Threads that do not finish in time are abandoned; they are daemons
and do not keep the process alive.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

DEADLINE = 20.0  # seconds, all hosts together
_WEB = ("http", "https")


def unreachable(
    urls: Iterable[str], deadline: float = DEADLINE, ask: Callable[[str, float], None] | None = None
) -> str:
    """'' if every host answers; otherwise a host that does not, with the reason: 'a.org (no answer in 20 s)'.

    Args:
      urls: addresses; one of each host is requested. Proxies are used as in `requests`.
      deadline: seconds after which this returns in any case.
      ask: `(url, timeout) -> None`, raises if the host does not answer.
    """
    hosts = {_host(url): url for url in urls}
    if ask is None:
        # late, because cached sets need no network; and here, because parallel imports in threads could fail
        import requests  # noqa: F401
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def run(host, url):
        try:
            (ask or _ask)(url, deadline)
            answers.put((host, ""))
        except Exception as error:  # any error means that the host was not reached
            answers.put((host, type(error).__name__))

    for host, url in hosts.items():
        threading.Thread(target=run, args=(host, url), daemon=True).start()
    end, waiting = time.monotonic() + deadline, set(hosts)
    while waiting:
        try:
            host, reason = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return f"{sorted(waiting)[0]} (no answer in {deadline:g} s)"
        if reason:
            return f"{host} ({reason})"
        waiting.discard(host)
    return ""


def _host(url: str) -> str:
    parts = urlsplit(url)
    return "storage.googleapis.com" if parts.scheme == "gs" else parts.netloc


def _ask(url: str, timeout: float) -> None:
    parts = urlsplit(url)
    if parts.scheme not in (*_WEB, "gs"):  # ftp
        socket.create_connection((parts.hostname, parts.port or 21), timeout).close()
        return
    import requests

    address = url if parts.scheme in _WEB else "https://storage.googleapis.com"
    # Any answer counts, also a redirect or a refusal of HEAD, but not a gateway's error for a dead host.
    status = requests.head(address, timeout=timeout, allow_redirects=False).status_code
    if status == 407 or status >= 500:
        raise OSError(f"HTTP status {status}")
