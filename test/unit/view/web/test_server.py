"""The server answers one page and its WebSocket, and nobody else; slow and unruly pages lose their connection."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.view.web import server as server_module
from rsdfm_ros.view.web import viewer as viewer_module
from rsdfm_ros.view.web.access import Address, WebError, listening
from rsdfm_ros.view.web.record import MissionRecord
from rsdfm_ros.view.web.server import WebServer
from rsdfm_ros.view.web.viewer import RequestError, SlowViewer, Viewer
from support.web_client import Client, free_port, get, opened

K = intrinsics_from_fov(80, 60, 1.2)
WAIT_S = 30.0


def instant(record: MissionRecord, step: int, image: Any = None) -> None:
    """An instant that both UAVs have answered, with an image of the first."""
    ns = 10**9 + step * 500_000_000
    image = np.full((60, 80, 3), step, np.uint8) if image is None else image
    record.camera("uav1", ns, CameraView("uav1", image, K, np.eye(4)))
    for agent in ("uav1", "uav2"):
        record.status(agent, ns, {"objects": step, "bytes_sent_frame": 1000 + step})


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def drain(line: Any) -> None:
    """Receive until the connection ends."""
    while True:
        line.recv(timeout=WAIT_S)


def flood(line: Any) -> None:
    """Ask again and again until the connection ends."""
    for _ in range(5000):
        line.send('{"live": false}')
    drain(line)


@pytest.fixture
def record() -> MissionRecord:
    made = MissionRecord("a mission", live=True)
    made.show_window(square_window(8.0, 0.5))
    for step in range(3):
        instant(made, step)
    return made


@pytest.fixture
def served(record: MissionRecord) -> Iterator[WebServer]:
    with WebServer(Address("127.0.0.1", free_port()), record) as server:
        yield server


def test_the_page_is_one_file_that_loads_nothing(served: WebServer) -> None:
    status, page, headers = get(served.address, "/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    policy = headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe-inline'; img" in policy
    )
    assert "script-src 'sha256-" in policy and "frame-ancestors 'none'" in policy
    assert "http://" not in page and "https://" not in page and " src=" not in page
    assert "server" not in headers and headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/static/app.js",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/wsx",
        "/ws/",
        "/?/../x",
    ],
)
def test_nothing_else_is_answered(served: WebServer, path: str) -> None:
    status, text, _ = get(served.address, path)
    if path.startswith("/?"):
        assert status == 200
    else:
        assert (status, text) == (404, "there is one page here: /\n") and served.refused["path"] == 1


def test_requests_through_other_names_or_of_other_sites_are_refused(served: WebServer) -> None:
    assert get(served.address, "/", {"Host": "evil.example"})[0] == 403
    with pytest.raises(InvalidStatus, match="403"):
        opened(served.address, origin="http://evil.example").__enter__()
    assert served.refused["access"] == 2 and not served.viewers


def test_beyond_loopback_the_token_is_needed(record: MissionRecord) -> None:
    address = Address("0.0.0.0", free_port(), "secret-of-many-characters")
    with WebServer(address, record) as server:
        assert get(address, "/")[0] == get(address, "/?token=wrong")[0] == 403
        with pytest.raises(InvalidStatus, match="403"):
            opened(address).__enter__()
        assert get(address, "/?token=secret-of-many-characters")[0] == 200
        with Client(address, "/ws?token=secret-of-many-characters") as client:
            client.until(lambda: bool(client.about))
        assert server.refused["access"] == 3


def test_a_page_gets_the_mission_and_what_changes(served: WebServer, record: MissionRecord) -> None:
    with Client(served.address) as client:
        client.until(lambda: len(client.rows) == 3 and bool(client.instants) and bool(client.images))
        assert [a["name"] for a in client.about["agents"]] == ["uav1", "uav2"] and client.about[
            "title"
        ] == "a mission"
        newest = client.instants[0]
        assert newest["newest"] and newest["content"]["number"] == 2
        assert (
            newest["images"] == [["uav1", "camera", len(client.images[0])]]
            and client.images[0][:2] == b"\xff\xd8"
        )
        client.ask(rate=10)
        instant(record, 3)
        client.until(
            lambda: 3 in client.rows and client.instants[-1]["content"]["number"] == 3, "the next one comes"
        )
        assert client.rows[3][2]["uav2"][0] == 1003
        record.health.note("uav1", "pipeline", 2, "slow", {})
        client.until(lambda: bool(client.health))
        assert client.health["uavs"]["uav1"] == [2, "slow"]
        record.end("the mission has ended")
        client.until(lambda: bool(client.about["ended"]))
        served.wait_told(WAIT_S)
        assert next(iter(served.viewers)).told
    until(lambda: not served.viewers, "the page is gone")


def test_a_page_that_looks_back_gets_what_it_asks_for_and_is_left_alone(
    served: WebServer, record: MissionRecord
) -> None:
    with Client(served.address) as client:
        client.ask(live=False)
        client.until(lambda: len(client.rows) == 3)
        assert client.content(1)["uavs"]["uav2"]["facts"]["objects"] == 1
        client.ask(want=77)
        client.until(lambda: client.gone == [77], "an unknown one is said to be gone")
        client.instants.clear()
        instant(record, 3)
        client.until(lambda: 3 in client.rows, "the index goes on")
        assert client.content(0)["number"] == 0 and len(client.instants) == 1  # no newest among them
        client.ask(live=True)
        client.until(lambda: any(i["newest"] for i in client.instants), "the newest comes again")


@pytest.mark.parametrize(
    "message",
    [
        "x", "[]", "1", "null", "{}", '{"want": -1}', '{"want": true}', '{"want": 1e3}', '{"want": "1"}', '{"rate": 0}',
        '{"rate": 1e9}', '{"rate": NaN}', '{"live": 1}', '{"alone": 1}',
        '{"path": "/etc/passwd"}', '{"live": true, "x": 1}',
        '{"want":' + "9" * 400 + "}", "[" * 500, b"\x00\x01",
    ],
)  # fmt: skip
def test_a_page_that_asks_for_nonsense_is_closed_and_counted(served: WebServer, message: str | bytes) -> None:
    with opened(served.address) as line:
        line.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            drain(line)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    assert served.refused["request"] == 1


def test_a_message_that_is_too_long_and_a_flood_end_the_connection(served: WebServer) -> None:
    with opened(served.address) as line:
        line.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            drain(line)
    with opened(served.address) as line, pytest.raises(ConnectionClosed):
        flood(line)
    until(lambda: served.refused["request"] == 1, "the flood is counted")
    with Client(served.address) as client:
        client.until(lambda: bool(client.about), "others are served")


def test_only_so_many_pages_are_open_at_once(served: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_VIEWERS", 2)
    with Client(served.address) as one, Client(served.address) as two:
        until(lambda: len(served.viewers) == 2, "both are open")
        with pytest.raises(InvalidStatus, match="503"):
            opened(served.address).__enter__()
        one.until(lambda: bool(one.about))
        two.until(lambda: bool(two.about))


def test_a_page_that_takes_nothing_is_dropped_and_delays_nobody(
    record: MissionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "SEND_S", 0.3)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    address = Address("127.0.0.1", free_port())
    with (
        WebServer(address, record) as served,
        socket.create_connection(("127.0.0.1", address.port)) as silent,
    ):
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        host = f"Host: 127.0.0.1:{address.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        silent.sendall(f"GET /ws HTTP/1.1\r\n{host}{key}\r\n".encode())
        until(lambda: len(served.viewers) == 1, "it is open")
        next(iter(served.viewers)).rate_hz = 10.0
        with Client(address) as other:
            other.ask(rate=10)
            for step in range(3, 3000):
                instant(record, step, noise)
                other.until(lambda step=step: len(other.rows) > step)
                if served.refused["slow"]:
                    break
            assert served.refused["slow"] == 1 and len(served.viewers) == 1
            other.until(lambda: len(other.images) > 1, "the other one is shown images")


def test_a_socket_that_listens_already_is_taken_over_and_a_taken_port_is_said(record: MissionRecord) -> None:
    address = Address("127.0.0.1", free_port())
    with WebServer(address, record, listener=listening(address.host, address.port)) as served:
        assert get(address, "/")[0] == 200
        with pytest.raises(WebError, match="another port"), WebServer(address, record):
            pass
    assert not served.viewers


class Slow:
    """A connection that never takes anything."""

    async def send(self, message: str | bytes) -> None:
        await asyncio.sleep(3600)

    async def recv(self) -> str | bytes:
        await asyncio.sleep(3600)
        return ""


def test_a_viewer_ends_by_itself_when_nothing_is_taken(
    record: MissionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "SEND_S", 0.05)
    with pytest.raises(SlowViewer, match="taken nothing"):
        asyncio.run(Viewer(Slow(), record).run())


def test_wanted_instants_are_bounded(record: MissionRecord) -> None:
    viewer = Viewer(Slow(), record)
    for number in range(50):
        viewer.take(json.dumps({"want": number}))
    assert list(viewer._wanted) == list(range(50 - viewer_module.MAX_WANTED, 50))
    flooding = [json.dumps({"live": True})] * 100
    with pytest.raises(RequestError, match="per second"):
        all(viewer.take(text) is None for text in flooding)


def test_the_page_holds_every_module_and_its_data_cannot_leave_its_element(tmp_path: Path) -> None:
    from rsdfm_ros.view.web.page import STATIC, modules, player, served_page

    page = served_page()
    assert (
        set(modules()) == {f"rsdfm/{path.stem}" for path in STATIC.glob("*.js")}
        and 'import "rsdfm/app"' in page
    )
    for name, source in modules().items():
        for line in source.splitlines():
            if line.startswith(("import ", "} from")) and " from " in line:
                assert line.partition(" from '")[2].rstrip("';") in modules(), f"{name}: {line}"
    hostile: Any = {"title": "</script><script>alert(1)</script>"}
    inside = player(json.dumps(hostile))
    assert inside.count("</script>") == 2 and "\\u003c/script>" in inside
