"""Whether the hosts of some addresses answer, decided within a hard deadline.

A name server or a firewall that drops packets makes a plain request hang for minutes, in calls that
cannot be cancelled. So each host is asked in a thread of its own, and the threads that do not come back
in time are left behind; they are daemons and do not keep the process alive.
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
    """'' where every host answers; else one that does not, with the reason: 'a.org (no answer in 20 s)'.

    Args:
      urls: addresses; one of each host is asked for. Proxies are honoured as `requests` does.
      deadline: seconds until the answer, whatever the network does.
      ask: `(url, timeout) -> None`, raising where the host does not answer.
    """
    hosts = {_host(url): url for url in urls}
    if ask is None:
        # late: a cached or prepared set needs no network; here: threads at once could get it half imported
        import requests  # noqa: F401
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def run(host, url):
        try:
            (ask or _ask)(url, deadline)
            answers.put((host, ""))
        except Exception as error:  # whatever goes wrong on the way, the host was not reached
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
    # Any answer will do, a redirect or a refusal of HEAD too, but not that of a gateway for a dead host.
    status = requests.head(address, timeout=timeout, allow_redirects=False).status_code
    if status == 407 or status >= 500:
        raise OSError(f"HTTP status {status}")
