"""Renders the scenes of a simulated dataset in worker processes, and can go on after an interruption."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection as mp_connection
import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rsdfm_ros.data.errors import DatasetError, ParameterMismatchError
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes.merge import encode_json, fragment_path
from rsdfm_ros.data.nuscenes.writer import SceneWriter
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.outputs import LOCK, write_atomically

PARAMETERS_FILE = "rsdfm_parameters.json"
FORMAT = 1

WORKER_ENVIRONMENT = {"LP_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One thread per worker: several single-threaded renderers are faster than one with several threads."""


class World(Protocol):
    """Interface of a simulated world that is needed here (see rsdfm_ros.sim.world.World)."""

    def frame(self, k: int, *, depth: bool = False, ids: bool = False) -> WorldFrame:
        """The k-th frame."""

    def layout_map(self) -> LayoutMap | None:
        """The static scene, None where that is not known."""

    def about(self) -> Mapping[str, str]:
        """Kind of the world: values for `style`, `weather` and `terrain`, as far as it knows them."""

    def dem(self) -> HeightGrid | None:
        """The ground in the map; None where it is flat at z = 0."""

    def close(self) -> None:
        """Frees the renderer."""


WorldFactory = Callable[[int, int], World]
"""Makes a world from a seed and a number of UAVs; a function of a module, so that workers can import it."""


def simulated_world(seed: int, uavs: int, *, camera: Mapping[str, Any], frames: int) -> World:
    """The world of the built-in simulator with the configuration of a dataset (Parameters.camera).

    frames: number of requested frames: traffic beyond them, which would not change them, is not computed.
    """
    from rsdfm_ros.sim.record import from_record
    from rsdfm_ros.sim.world import World as MujocoWorld

    return MujocoWorld(seed, uavs=uavs, config=replace(from_record(camera), max_frames=frames))


@dataclass(frozen=True)
class Parameters:
    """Settings that determine the pixels of a dataset. Scene n uses seed + n; the number of scenes may grow later.

    camera: width, height, field of view and all other values of the simulator's configuration that are not the default
    (see rsdfm_ros.sim.record).
    """

    seed: int
    uavs: int
    frames: int
    depth: bool = False
    camera: Mapping[str, Any] = field(default_factory=dict)

    def scene_name(self, n: int) -> str:
        """Name of the n-th scene, which contains its seed."""
        return f"scene-{self.seed + n:05d}"


@dataclass(frozen=True)
class Progress:
    """A step of progress: a frame of scene n was written, or the scene was finished, or it was there before."""

    scene: int
    event: str  # "frame", "done" or "present"


class RenderError(DatasetError):
    """A scene could not be rendered."""


def remember_parameters(root: Path, parameters: Parameters) -> None:
    """Notes the parameters in the dataset's folder; refuses a folder made with other ones, or of other origin."""
    path = root / PARAMETERS_FILE
    asked = asdict(parameters)
    if not path.exists():
        ours = (LOCK, f".{Path(PARAMETERS_FILE).stem}.")  # the latter left by a crash
        if root.is_dir() and not all(child.name.startswith(ours) for child in root.iterdir()):
            raise ParameterMismatchError(
                root,
                f"is not empty and has no {PARAMETERS_FILE}: not a simulated dataset",
                "choose another --out",
            )
        write_atomically(path, encode_json({"format": FORMAT, **asked}) + b"\n")
        return
    found = {"camera": asked["camera"]} | read_parameters(root)
    different = [
        f"{key} {found.get(key)!r} there, {asked[key]!r} asked"
        for key in asked
        if found.get(key) != asked[key]
    ]
    if found.get("format") != FORMAT:
        different.insert(0, f"format {found.get('format')!r} there, {FORMAT} now")
    if different:
        raise ParameterMismatchError(
            root,
            "holds scenes made with other parameters: " + ", ".join(different),
            "give the same parameters to go on, or choose another --out",
        )


def remove_leftovers(root: Path) -> None:
    """Removes half-written files that a killed simulation left in its dataset; call it with the folder locked."""
    patterns = (f".{Path(PARAMETERS_FILE).stem}.*.tmp*", "scenes/.*.tmp*", "maps/.*.tmp*")
    for leftover in (path for pattern in patterns for path in root.glob(pattern)):
        leftover.unlink()


def read_parameters(root: Path) -> dict[str, Any]:
    """The parameters noted in a dataset's folder, {} if there are none."""
    path = root / PARAMETERS_FILE
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"cannot be read ({error})", "choose another --out") from error
    if not isinstance(value, dict):
        raise DatasetError(path, "expected a JSON object", "choose another --out")
    return value


def render(
    root: Path,
    parameters: Parameters,
    scenes: int,
    jobs: int,
    make_world: WorldFactory,
) -> Generator[Progress, None, None]:
    """Renders scenes 0 to scenes - 1 that are not finished yet, with up to `jobs` processes.

    Yields progress as it happens; closing the iterator ends the workers. Raises :class:`RenderError` when a scene
    fails or its worker dies; finished scenes stay.
    """
    names = [parameters.scene_name(n) for n in range(scenes)]
    pending = [n for n in range(scenes) if not fragment_path(root, names[n]).exists()]
    for n in sorted(set(range(scenes)) - set(pending)):
        yield Progress(n, "present")
    if not pending:
        return
    with _workers(root, parameters, make_world, min(jobs, len(pending))) as workers:
        busy: dict[Any, int] = {}
        for connection in workers:
            if pending:
                busy[connection] = _assign(connection, pending)
        while busy:
            ready: Any
            for ready in mp_connection.wait(list(busy)):
                n = busy[ready]
                try:
                    event, detail = ready.recv()
                except (EOFError, OSError):
                    event, detail = "failed", workers[ready]()
                if event == "failed":
                    raise RenderError(
                        root,
                        f"{names[n]} failed: {detail}",
                        "finished scenes are kept: the same command goes on",
                    )
                if event == "done":
                    del busy[ready]
                    if pending:
                        busy[ready] = _assign(ready, pending)
                yield Progress(n, event)


def _assign(connection: Any, pending: list[int]) -> int:
    n = pending.pop(0)
    with contextlib.suppress(OSError):  # a dead worker is detected, and reported, when its connection is read
        connection.send(n)
    return n


@contextlib.contextmanager
def _workers(
    root: Path, parameters: Parameters, make_world: WorldFactory, count: int
) -> Iterator[dict[Any, Callable[[], str]]]:
    """Starts processes; maps each one's connection to a function that says how it ended."""
    context = multiprocessing.get_context("spawn")
    workers: dict[Any, Callable[[], str]] = {}
    processes = []
    try:
        with _environment(WORKER_ENVIRONMENT):
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_work, args=(theirs, root, parameters, make_world), daemon=True
                )
                process.start()
                theirs.close()
                processes.append(process)
                workers[ours] = partial(_how_it_ended, process)
        yield workers
    finally:
        for process in processes:
            process.terminate()
        for connection in workers:
            connection.close()
        for process in processes:
            process.join(5.0)
            if process.exitcode is None:
                process.kill()
                process.join(5.0)


def _how_it_ended(process: Any) -> str:
    process.join(5.0)
    code = process.exitcode
    if code is not None and code < 0:
        return f"its process was ended by {signal.Signals(-code).name}" + (
            " (out of memory? try fewer --jobs)" if -code == signal.SIGKILL else ""
        )
    return f"its process ended unexpectedly with status {code}"


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _work(connection: Any, root: Path, parameters: Parameters, make_world: WorldFactory) -> None:
    """One worker: receives scene numbers, renders them, reports; ends with the process that started it."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    cv2.setNumThreads(1)
    with contextlib.suppress(EOFError, OSError, BrokenPipeError):
        while True:
            n = connection.recv()
            try:
                _render_scene(connection, root, parameters, n, make_world)
            except Exception as error:  # the parent reports any error
                connection.send(("failed", f"{type(error).__name__}: {error}"))
                return
            connection.send(("done", None))


def _render_scene(
    connection: Any, root: Path, parameters: Parameters, n: int, make_world: WorldFactory
) -> None:
    seed = parameters.seed + n
    with contextlib.closing(make_world(seed, parameters.uavs)) as world:
        name = parameters.scene_name(n)
        writer = SceneWriter(
            root,
            name,
            seed=seed,
            depth=parameters.depth,
            layout=world.layout_map(),
            about=world.about(),
            dem=world.dem(),
        )
        for k in range(parameters.frames):
            writer.add(world.frame(k, depth=parameters.depth))
            connection.send(("frame", None))
    writer.finish()
