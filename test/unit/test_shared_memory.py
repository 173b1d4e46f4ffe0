"""Shared memory of killed processes is removed before a fleet starts; segments in use stay."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rsdfm_ros.domains import FIRST_PORT, PORTS, has_ports
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.domain import claim_domain
from rsdfm_ros.shared_memory import EVERYWHERE, FOLDER, Cleared, remove_stale_ports

DOMAIN = 87
FIRST = FIRST_PORT + PORTS * DOMAIN
KILLED = """
import os, signal, rclpy
contexts = [rclpy.Context(), rclpy.Context()]
for context in contexts:
    context.init()
nodes = [rclpy.create_node("killed", context=context) for context in contexts]
print(*[name for name in os.listdir("/dev/shm") if "_port" in name], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""Two participants: whoever looks into the domain afterwards would itself clear the port of one, by using it."""


def make(folder: Path, port: int, *ends: str) -> list[str]:
    """The files of a port; their names."""
    names = [
        f"fastdds_port{port}",
        f"sem.fastdds_port{port}_mutex",
        *(f"fastdds_port{port}{e}" for e in ends),
    ]
    for name in names:
        (folder / name).write_bytes(b"")
    return names


def there(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_stale_ports_of_the_domain_and_of_all_domains_are_removed(tmp_path: Path) -> None:
    spared = [*make(tmp_path, FIRST - 1, "_el"), *make(tmp_path, FIRST + PORTS), *make(tmp_path, 99, "_el")]
    spared += make(tmp_path, EVERYWHERE[0])  # perhaps another domain writes there
    for name in ("fastdds_0123456789abcdef", "fastdds_0123456789abcdef_el", f"fastdds_port{FIRST}x", "notes"):
        (tmp_path / name).touch()
        spared.append(name)
    for port, ends in ((0, ("_sl",)), (11, ("_el",)), (13, ()), (PORTS - 1, ("_el", "_sl"))):
        make(tmp_path, FIRST + port, *ends)
    make(tmp_path, EVERYWHERE[-1], "_el")
    (tmp_path / f"sem.fastdds_port{FIRST + 15}_mutex").touch()
    assert remove_stale_ports([DOMAIN], tmp_path) == Cleared(removed=6)
    assert there(tmp_path) == set(spared)
    assert remove_stale_ports([DOMAIN], tmp_path) == Cleared()
    assert remove_stale_ports([DOMAIN], tmp_path / "absent") == Cleared()


@pytest.mark.parametrize(("end", "kind"), [("_el", fcntl.LOCK_EX), ("_sl", fcntl.LOCK_SH)])
def test_a_port_that_somebody_listens_at_stays(tmp_path: Path, end: str, kind: int) -> None:
    held = make(tmp_path, FIRST + 11, end)
    make(tmp_path, FIRST + 13, end)
    with (tmp_path / held[-1]).open() as lock:
        fcntl.flock(lock, kind)
        assert remove_stale_ports([DOMAIN], tmp_path) == Cleared(removed=1)
        assert there(tmp_path) == set(held), "and nothing is added"
    assert remove_stale_ports([DOMAIN], tmp_path) == Cleared(removed=1)


def test_ports_whose_number_is_a_udp_port_in_use_stay(tmp_path: Path) -> None:
    with contextlib.ExitStack() as ends:
        one, other = (ends.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        one.bind(("127.0.0.1", FIRST + 10))
        shared = next(port for port in reversed(EVERYWHERE) if bound(other, port))
        kept = {*make(tmp_path, FIRST + 11, "_el"), *make(tmp_path, shared, "_el")}
        assert remove_stale_ports([DOMAIN], tmp_path) == Cleared()
        assert there(tmp_path) == kept, "the domain and the other port are in use"
    assert remove_stale_ports([DOMAIN], tmp_path) == Cleared(removed=2)


def bound(end: socket.socket, port: int) -> bool:
    with contextlib.suppress(OSError):
        end.bind(("127.0.0.1", port))
    return end.getsockname()[1] == port


def test_what_cannot_be_removed_is_counted_and_said(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / f"fastdds_port{FIRST + 11}").symlink_to("elsewhere")
    (tmp_path / f"fastdds_port{FIRST + 13}_el").mkdir()
    before = there(tmp_path)
    cleared = remove_stale_ports([DOMAIN], tmp_path)
    assert cleared == Cleared(left=2) and there(tmp_path) == before
    assert cleared.sentence().startswith("2 shared memory ports of ended processes cannot be removed")
    assert "fastdds shm clean" in cleared.sentence() and Cleared(removed=3).sentence() == ""


@pytest.mark.skipif(not FOLDER.is_dir(), reason="Fast DDS keeps shared memory elsewhere here")
def test_a_fleet_starts_without_what_a_killed_process_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy")
    # Below the ports that Linux gives to any program, which would look like a domain in use.
    domain = next(d for n in range(99) if not has_ports(d := 1 + (os.getpid() + n) % 99))
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    ports = range(FIRST_PORT + PORTS * domain, FIRST_PORT + PORTS * (domain + 1))
    left = [name for name in done.stdout.split() if any(f"port{port}" in name for port in ports)]
    if not left:
        pytest.skip("another middleware, or Fast DDS without shared memory")
    assert any(name.endswith("_el") for name in left) and all((FOLDER / name).exists() for name in left)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    with claim_domain(fleet_from_dict({}), None) as claim:
        assert claim.domain == domain
        assert [name for name in left if (FOLDER / name).exists()] == []
