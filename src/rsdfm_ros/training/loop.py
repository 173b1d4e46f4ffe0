"""The machinery of a training run: device, schedule, prefetching, checkpoints, progress."""

from __future__ import annotations

import contextlib
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import replacing

T = TypeVar("T")


@dataclass
class Clock:
    """Progress of a stage: steps done and seconds trained, over all resumed runs."""

    steps: int
    limit_s: float | None = None
    step: int = 0
    elapsed_s: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the schedule that is done, in [0, 1]: by steps, or by time if that is further."""
        by_time = self.elapsed_s / self.limit_s if self.limit_s else 0.0
        return min(1.0, max(self.step / self.steps, by_time))


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    if progress < warmup:
        return peak * (0.05 + 0.95 * progress / warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup))))


def prefetch(
    make: Callable[[int], T], start: int, *, stride: int = 1, depth: int = 6, threads: int = 1
) -> Iterator[T]:
    """make(start), make(start + stride), … in order, made ahead by background threads. Closing it ends them."""
    results: dict[int, queue.Queue[Any]] = {}
    lock, stop = threading.Lock(), threading.Event()
    slots = threading.Semaphore(depth)
    counter = iter(range(start, 1 << 62, stride))

    def take(index: int) -> queue.Queue[Any]:
        with lock:
            return results.setdefault(index, queue.Queue(maxsize=1))

    def work() -> None:
        while not stop.is_set():
            if not slots.acquire(timeout=0.2):
                continue
            with lock:
                index = next(counter)
            try:
                take(index).put(make(index))
            except Exception as error:  # handed to the consumer, which raises it
                take(index).put(error)

    workers = [threading.Thread(target=work, daemon=True, name=f"prefetch-{n}") for n in range(threads)]
    for worker in workers:
        worker.start()
    try:
        index = start
        while True:
            item = take(index).get()
            with lock:
                del results[index]
            slots.release()
            if isinstance(item, Exception):
                raise item
            yield item
            index += stride
    finally:
        stop.set()
        for worker in workers:
            worker.join()


class Checkpoints:
    """Atomic checkpoints of a stage: the newest only, read back with weights_only.

    origin: identity of the weights that the stage starts from; a checkpoint of another origin is not continued.
    """

    def __init__(self, path: Path, origin: str = "") -> None:
        self.path, self._origin = path, origin

    def save(self, module: nn.Module, optimiser: torch.optim.Optimizer, clock: Clock) -> None:
        """Replace the checkpoint in one step."""
        state = {
            "module": module.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": clock.step,
            "elapsed_s": clock.elapsed_s,
            "origin": self._origin,
        }
        with replacing(self.path) as beside:
            torch.save(state, beside)

    def load(self, module: nn.Module, optimiser: torch.optim.Optimizer, clock: Clock) -> bool:
        """Continue from the checkpoint if there is one."""
        if not self.path.is_file():
            return False
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if state["origin"] != self._origin:
                return False
            module.load_state_dict(state["module"])
            optimiser.load_state_dict(state["optimiser"])
            clock.step, clock.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        except Exception as error:  # a damaged file may raise anything
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise RsdfmError(
                f"the checkpoint {self.path} cannot be continued ({what}): delete it, train into another folder, or "
                "start over with --force"
            ) from error
        return True


@contextlib.contextmanager
def interrupts_wait() -> Iterator[Callable[[], None]]:
    """Keeps Ctrl-C and SIGTERM back until the function it gives is called, which raises KeyboardInterrupt then.

    An interrupted step would leave running means of half a step, which no checkpoint may hold. A second signal does not
    wait.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals arrive in the main thread only
        yield check
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_stage(
    name: str,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    clock: Clock,
    step: Callable[[Any, float], dict[str, float]],
    batches: Iterator[Any],
    checkpoints: Checkpoints,
    *,
    peak_rate: float,
    warmup: float,
    writer: SummaryWriter | None,
    progress: Callable[[Clock, dict[str, float]], None],
    save_every_s: float = 120.0,
    main: bool = True,
) -> None:
    """Run a stage to its end; a checkpoint is saved now and then, at the end, and after an interrupt.

    Raises: KeyboardInterrupt that names the saved state.

    A run that is interrupted and goes on gives the weights of one in a single go, bit for bit, where steps limit it
    (and not time) and nothing else differs.
    """
    averages: dict[str, float] = {}
    last_save = last = time.monotonic()
    saved = clock.step  # the step of the checkpoint
    whole = True  # the step is complete

    def save() -> None:
        nonlocal saved
        if main:
            checkpoints.save(module, optimiser, clock)
        saved = clock.step

    with interrupts_wait() as interrupted:
        try:
            while clock.progress < 1.0:
                interrupted()
                batch = next(batches)
                interrupted()
                rate = learning_rate(clock.progress, peak_rate, warmup)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                whole = False
                losses = step(batch, clock.progress)
                now = time.monotonic()
                clock.elapsed_s += now - last
                last = now
                clock.step += 1
                whole = True
                for key, value in losses.items():
                    averages[key] = 0.98 * averages.get(key, value) + 0.02 * value
                progress(clock, averages)
                if writer is not None and clock.step % 20 == 0:
                    for key, value in losses.items():
                        writer.add_scalar(f"{name}/{key}", value, clock.step)
                    writer.add_scalar(f"{name}/learning_rate", rate, clock.step)
                if now - last_save > save_every_s:
                    save()
                    last_save = now
            save()
            interrupted()
        except KeyboardInterrupt:
            if whole and saved != clock.step:
                save()
            kept = f"step {saved} of stage {name} is saved in {checkpoints.path}"
            raise KeyboardInterrupt(kept if saved else f"nothing of stage {name} is saved") from None
