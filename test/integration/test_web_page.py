"""The page in a real browser: a run, a report and a live fleet that loses a UAV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.outputs import boxes_of_objects
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.view.sink import COLLABORATIVE, SINGLE
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.feeding import Feeder, record_of
from rsdfm_ros.view.web.record import MissionRecord
from rsdfm_ros.view.web.report import make_report
from rsdfm_ros.view.web.server import WebServer
from support import view_flight as flight
from support.chromium import Page, browser, program
from support.web_client import free_port

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium here: apt install chromium")

SHOWN = "Number(document.getElementById('mission').dataset.shown || -1)"
STATE = "document.getElementById('m-state').textContent"
INSTANTS = "Number(document.getElementById('mission').dataset.instants || 0)"
#: Sum of the pixels of a canvas: 0 for an empty one.
PIXELS = """(() => {{
  const c = document.querySelector({selector!r});
  if (!c || !c.width) return 0;
  return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((a, b) => a + b, 0);
}})()"""


def pixels(page: Page, selector: str) -> int:
    return int(page.value(PIXELS.format(selector=selector)))


def scrub(page: Page, place: int) -> None:
    page.value(
        "(() => {const s = document.getElementById('m-scrub'); "
        f"s.value = {place}; s.dispatchEvent(new Event('input', {{bubbles: true}}));}})()"
    )


def canvas(agent: str, kind: str) -> str:
    return f"[data-uav={agent}] canvas.m-{kind}"


def nothing_left(page: Page, *known: str) -> None:
    """No request went anywhere but to the known addresses, and the page reported no error."""
    strangers = [r for r in page.requests if not r.startswith(("data:", "blob:", *known))]
    assert strangers == [] and page.errors == []


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _forget(page: Page) -> None:
    page.open("about:blank")  # ends what the page before still asks for
    page.requests.clear()
    page.errors.clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flight.write_run(tmp_path_factory.mktemp("web") / "run")


@pytest.mark.parametrize("kind", ["run", "bag"])
def test_a_recorded_mission_plays_by_itself_and_can_be_scrubbed(
    page: Page, run: Path, tmp_path: Path, kind: str
) -> None:
    path = run if kind == "run" else flight.write_bag(tmp_path / "bag")
    address = Address("127.0.0.1", free_port())
    record = record_of(path)
    feeder = Feeder(record, path, default_map(), pytest.fail)
    with WebServer(address, record, on_viewer=feeder.start):
        page.open(address.url)
        page.until(f"{INSTANTS} === 3 && {SHOWN} >= 0")
        first = page.value(SHOWN)
        page.until(f"{SHOWN} !== {first}")  # it plays
        scrub(page, 0)
        page.until(f"{SHOWN} === 0 && document.querySelectorAll('canvas.m-camera').length === 2")
        page.until(f"{PIXELS.format(selector=canvas('uav1', 'camera'))} > 0")
        before = {k: pixels(page, canvas("uav1", k)) for k in ("map", "camera")}
        scrub(page, 1)
        page.until(f"{SHOWN} === 1")
        page.until(
            f"{PIXELS.format(selector=canvas('uav1', 'map'))} !== {before['map']}"
        )  # the car has moved
        page.until(f"{PIXELS.format(selector=canvas('uav1', 'camera'))} !== {before['camera']}")
        for choice in ("alone", "truth", "who", "collaborative"):
            earlier = pixels(page, canvas("uav1", "map"))
            page.value(f"document.querySelector('#m-layers input[value={choice}]').click()")
            page.until(f"{PIXELS.format(selector=canvas('uav1', 'map'))} !== {earlier}")
        assert page.value("document.getElementById('m-bytes-title').textContent").startswith(
            "kB sent per image: uav1"
        )
        nothing_left(page, address.url, address.url.replace("http", "ws"))
    feeder.stop()


def test_pointing_at_a_vehicle_tells_what_it_is_and_who_found_it(page: Page, run: Path) -> None:
    address, record = Address("127.0.0.1", free_port()), record_of(run)
    feeder = Feeder(record, run, default_map(), pytest.fail)
    with WebServer(address, record, on_viewer=feeder.start):
        page.open(address.url)
        page.until(f"{INSTANTS} === 3")
        scrub(page, 0)
        page.until(f"{SHOWN} === 0 && {PIXELS.format(selector=canvas('uav1', 'map'))} > 0")
        # The bus stands at (6, -5) of a map of 32 x 32 m.
        place = page.value(
            f"(() => {{const r = document.querySelector({canvas('uav1', 'map')!r}).getBoundingClientRect(); "
            "return [r.x + r.width * 22 / 32, r.y + r.height * 21 / 32];})()"
        )
        page.move(*place)
        said = page.until(
            "!document.getElementById('m-tip').hidden && document.getElementById('m-tip').textContent"
        )
        assert said.startswith("bus (uav1 together, score 1.00)") and "found alone by none" in said
        assert "found together by uav1 1.00, uav2 1.00" in said
    feeder.stop()


def test_the_report_is_the_page_with_its_data_and_needs_no_server(
    page: Page, run: Path, tmp_path: Path
) -> None:
    (report,) = make_report(RunReader(run), tmp_path, video=False)
    page.open(report.as_uri(), width=400, height=800)
    page.until(
        f"{INSTANTS} === 3 && {SHOWN} >= 0 && document.querySelectorAll('canvas.m-camera').length === 2"
    )
    scrub(page, 2)
    page.until(f"{SHOWN} === 2")
    assert page.until(STATE) == "no answer from uav2"
    page.until(f"{PIXELS.format(selector=canvas('uav1', 'camera'))} > 0")
    assert page.value("document.documentElement.scrollWidth") <= 400
    nothing_left(page, report.as_uri())


def fly(record: MissionRecord, step: int, agents: tuple[str, ...]) -> None:
    """An instant of a live fleet, as these UAVs answer it."""
    ns, now = 10**9 + step * 500_000_000, flight.objects(step % 4)
    record.truth(ns, now, flight.AGENTS)
    for number, agent in enumerate(agents):
        image = np.full((*flight.SIZE, 3), 40 + step % 100, np.uint8)
        record.camera(agent, ns, CameraView(agent, image, flight.K, flight.down(5.0 * number)))
        percent = (100 * (rasterise(now, flight.WINDOW) > 0)).astype(np.uint8)
        for variant in (SINGLE, COLLABORATIVE):
            record.occupancy(agent, variant, ns, percent, flight.WINDOW)
            record.detections(agent, variant, ns, boxes_of_objects(now))
        facts: dict[str, Any] = {"objects": 2, "bytes_sent_frame": 900, "latency_median_ms": 80.0}
        record.status(agent, ns, facts | {"peers": [a for a in agents if a != agent], "peer_ages_s": [0.1]})


def test_a_live_fleet_moves_loses_a_uav_and_is_scrubbed_back(page: Page) -> None:
    record, address = MissionRecord("a live fleet", live=True), Address("127.0.0.1", free_port())
    with WebServer(address, record) as server:
        page.open(address.url)
        page.until(f"{STATE} === 'waiting for the first images …'")
        next(iter(server.viewers)).rate_hz = 10.0
        step = 0

        def fly_until(condition: str, agents: tuple[str, ...]) -> None:
            nonlocal step
            deadline = time.monotonic() + 60
            while not page.value(condition):
                assert time.monotonic() < deadline, f"{condition}: {page.value(STATE)}; {page.errors}"
                fly(record, step, agents)
                step += 1
                time.sleep(0.1)

        fly_until(f"{SHOWN} >= 5 && {PIXELS.format(selector=canvas('uav2', 'camera'))} > 0", flight.AGENTS)
        assert page.value(STATE) == ""
        peers = pixels(page, "canvas#m-graph")
        record.health.note("uav1", "peer uav2", 2, "lossy", {"loss": "0.5", "bytes_per_second": "10"})
        page.until(f"{PIXELS.format(selector='canvas#m-graph')} !== {peers}")  # the link has turned red
        lost = step
        fly_until(f"{STATE} === 'no answer from uav2'", ("uav1",))
        seen = page.value(SHOWN)
        fly_until(f"{SHOWN} >= {seen + 3}", ("uav1",))  # the others go on
        assert page.value("document.querySelector('[data-uav=uav2]').classList.contains('m-silent')")
        assert "no answer for" in page.value(
            "document.querySelector('[data-uav=uav2] .m-health').textContent"
        )
        scrub(page, lost - 3)
        page.until(f"{SHOWN} === {lost - 3} && {STATE} === ''")
        fly(record, step, ("uav1",))
        page.until(f"{INSTANTS} === {step + 1}")
        assert page.value(SHOWN) == lost - 3  # it stays where it was put
        page.value("document.getElementById('m-live').click()")
        page.until(f"{SHOWN} === {step}")
        record.end("the fleet has ended")
        page.until(f"{STATE} === 'the fleet has ended'")
        nothing_left(page, address.url, address.url.replace("http", "ws"))


def test_a_page_outlives_its_server_and_finds_the_next_one(page: Page) -> None:
    record, address = MissionRecord("a live fleet", live=True), Address("127.0.0.1", free_port())
    with WebServer(address, record):
        fly(record, 0, flight.AGENTS)
        page.open(address.url)
        page.until(f"{SHOWN} === 0")
    page.until(f"{STATE}.startsWith('the server has gone')")
    assert page.value(SHOWN) == 0
    with WebServer(address, record):
        page.until(f"{STATE} === ''")
        fly(record, 1, flight.AGENTS)
        page.until(f"{SHOWN} === 1")


def test_names_from_outside_are_text_not_markup(page: Page) -> None:
    record, address = (
        MissionRecord("<img src=x onerror=alert(1)>", live=True),
        Address("127.0.0.1", free_port()),
    )
    record.expect(["<b>uav</b>"])
    with WebServer(address, record):
        fly(record, 0, ("<b>uav</b>",))
        page.open(address.url)
        page.until(f"{SHOWN} === 0")
        assert page.value("document.querySelectorAll('#mission img, #mission h3 b').length") == 0
        assert page.value("document.getElementById('m-title').textContent") == "<img src=x onerror=alert(1)>"
        nothing_left(page, address.url, address.url.replace("http", "ws"))
