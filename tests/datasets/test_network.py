import socket
import threading

import pytest

from jaxgan.datasets import network


@pytest.fixture
def black_hole(monkeypatch):
    """Name look-ups that never return, as with a name server whose packets are dropped."""
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait()
        raise OSError("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield
    released.set()


def test_a_network_without_answers_is_unreachable_at_the_deadline(black_hole):
    reason = network.unreachable(["https://example.org/file"], deadline=0.05)
    assert reason == "example.org (no answer in 0.05 s)"


def test_one_host_without_an_answer_is_enough(monkeypatch):
    released = threading.Event()

    def ask(url, timeout):
        if "silent" in url:
            released.wait()

    reason = network.unreachable(["https://a.org/1", "https://silent.org/2"], 0.05, ask)
    released.set()
    assert reason == "silent.org (no answer in 0.05 s)"


def test_a_refusal_is_reported_at_once():
    def ask(url, timeout):
        raise ConnectionRefusedError

    # The deadline is an hour: the answer must not wait for it.
    assert network.unreachable(["https://a.org/1"], 3600, ask) == "a.org (ConnectionRefusedError)"


def test_each_host_is_contacted_once():
    asked = []
    urls = ["https://a.org/1", "https://a.org/2", "http://b.org/1", "gs://bucket/x"]
    assert network.unreachable(urls, 60, lambda url, timeout: asked.append(url)) == ""
    assert len(asked) == 3 and network.unreachable([], 60) == ""


def test_the_deadline_is_below_half_a_minute():
    assert network.DEADLINE <= 25


@pytest.mark.parametrize(
    "status, answers", [(200, True), (302, True), (403, True), (407, False), (502, False)]
)
def test_what_counts_as_an_answer(monkeypatch, status, answers):
    import requests

    response = requests.Response()
    response.status_code = status
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: response)
    assert (network.unreachable(["https://a.org"], 60) == "") == answers


def test_a_closed_local_port_does_not_answer():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert network.unreachable([f"ftp://127.0.0.1:{port}/x"], 60).startswith("127.0.0.1")
