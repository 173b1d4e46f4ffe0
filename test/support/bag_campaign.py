"""Damaged bags through everything that reads bags; what must not happen is counted."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
import zstandard
from rich.console import Console

from rsdfm_ros.data.bags.bag import Bag, open_bag
from rsdfm_ros.data.bags.frames import read_frames
from rsdfm_ros.data.bags.info import bag_info, header_stamp_ns
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.replay_plan import replay_plan
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import FEATURES, POINT, STATUS, TRANSFORMS, default_map
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.tasks import truth_from_message
from rsdfm_ros.data.nuscenes import SceneWriter, merge
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.bags.answers import EngineOptions
from rsdfm_ros.evaluation.bags.evaluate import evaluate_bag
from rsdfm_ros.evaluation.bags.report import print_evaluation, print_info
from rsdfm_ros.fleet.checks import checked_plan
from rsdfm_ros.fleet.commands.wire import bag_facts
from rsdfm_ros.fleet.description.parts import ReplayDescription
from rsdfm_ros.wire.boxes import encode_boxes
from rsdfm_ros.wire.packet import encode_frame
from support.bag_data import AGENTS, START_NS, STEP_NS, camera_pose, make_bag
from support.bag_data import frame as camera_frame
from support.bag_drafts import Draft, Message, Topic, draft_of, mcap_of, sqlite_of
from support.bag_mutations import MUTATIONS, ODD, damaged_file
from support.maps import boxes_at
from support.painted import tiny_perception
from support.yaml_mutations import with_other_tokens, with_other_values

MAX_MUTATIONS = 3
CLOCK_S = 2**31
"""Seconds that a ROS time can show."""
EVALUATED = 8
"""Every so many bags one is evaluated as a flight, and exported as a data set: these take the longest."""
RECORDED = (FEATURES, STATUS, POINT)


@dataclass
class BagReport:
    """untyped: bag and reader with the error · slowest_ms: CPU time of the bag that took longest to read in all ways,
    and its number · refused: whole bags, as there was nothing to read · left_out: messages, by reason · rss_mb:
    resident memory after a quarter of the bags and at the end."""

    bags: int = 0
    opened: int = 0
    messages: int = 0
    instants: int = 0
    evaluated: int = 0
    untyped: list[str] = field(default_factory=list)
    refused: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    slowest: str = ""
    rss_mb: list[float] = field(default_factory=list)
    peak_rss_mb: float = 0.0


class BagCampaign:
    """Bag `n` depends on the seed and n alone. folder: for the files, one bag at a time."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.report, self._folder = seed, BagReport(), folder
        self._model = tiny_perception()
        self._draft = self._whole(folder / "whole")
        self._metadata = yaml.safe_load((folder / "whole" / "metadata.yaml").read_text())

    def _whole(self, folder: Path) -> Draft:
        """A bag with messages of all types that are read."""
        draft = draft_of(make_bag(folder, frames=2, truth=2))
        store = typestore()
        t = store.types
        messages, topics = list(draft.messages), list(draft.topics)
        number = {kind: len(topics) + k for k, kind in enumerate((FEATURES, STATUS, POINT, TRANSFORMS))}
        names = ("/uav1/bev/features", "/uav1/status", "/uav1/ground/height", "/tf")
        for kind, name in zip(number, names, strict=True):
            topics.append(Topic(name, kind, store.generate_msgdef(kind, ros_version=2)[0]))
        for k in range(2):
            ns = START_NS + k * STEP_NS
            bev = self._model.perceive(*self._view(k))
            for index, payload in enumerate(packets := self._packets(bev)):
                raw = feature_message(
                    payload, agent=AGENTS[0], stamp_ns=ns, frame=k, index=index, count=len(packets),
                    fingerprint=self._model.fingerprint, T_map_camera=camera_pose(0, k), covariance=np.eye(6) * 1e-4,
                )  # fmt: skip
                messages.append(Message(number[FEATURES], ns, raw))
            header = t["std_msgs/msg/Header"](
                t["builtin_interfaces/msg/Time"](ns // 10**9, ns % 10**9), "map"
            )
            point = t[POINT](header, t["geometry_msgs/msg/Point"](0.0, 0.0, 0.1))
            turn = t["geometry_msgs/msg/Transform"](
                t["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0),
                t["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
            )
            transform = t[TRANSFORMS]([t["geometry_msgs/msg/TransformStamped"](header, "uav1", turn)])
            for kind, content in ((POINT, point), (TRANSFORMS, transform)):
                messages.append(Message(number[kind], ns, bytes(store.serialize_cdr(content, kind))))
            messages.append(
                Message(number[STATUS], ns, bytes(store.serialize_cdr(_status(header, k), STATUS)))
            )
        return replace(draft, topics=tuple(topics), messages=tuple(sorted(messages, key=lambda m: m.log_ns)))

    def _view(self, k: int) -> tuple[Any, ...]:
        view = camera_frame(k).views[0]
        return view.image, view.K, view.T_map_camera, view.covariance

    def _packets(self, bev: Any) -> list[bytes]:
        frame = self._model.compress(bev, 60)
        return [
            *encode_frame(frame, 4000, fingerprint=self._model.fingerprint),
            encode_boxes(boxes_at(np.zeros((2, 2)))),
        ]

    def run(
        self, first: int, count: int, progress: Callable[[BagReport], None] = lambda report: None
    ) -> BagReport:
        """Bags `first` to `first + count - 1`. progress: called after every one."""
        for n in range(first, first + count):
            self._bag(n)
            if n in (first + count // 4, first + count - 1):
                self._note_memory()
            progress(self.report)
        return self.report

    # --- one bag --------------------------------------------------------------------------------------------------

    def make(self, n: int) -> Path:
        """Write bag `n`; its folder, or its file."""
        rng = np.random.default_rng([self.seed, n])
        folder = self._folder / "bag"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        draft = replace(
            self._draft, compression=str(rng.choice(["", "zstd", "lz4"])), summary=bool(rng.random() < 0.7)
        )
        for _ in range(rng.integers(0, MAX_MUTATIONS + 1)):
            draft = MUTATIONS[rng.integers(len(MUTATIONS))](rng, draft)
        suffix = str(rng.choice(["mcap", "db3"]))
        if suffix == "mcap":
            data = mcap_of(draft)
        else:
            odd = (
                [ODD[k] for k in rng.integers(0, len(ODD), rng.integers(1, 3))] if rng.random() < 0.2 else []
            )
            data = sqlite_of(draft, folder / "made", odd)
            (folder / "made").unlink()
        data = damaged_file(rng, data)
        name = f"bag_0.{suffix}"
        if rng.random() < 0.15:
            data, name = zstandard.ZstdCompressor(level=1).compress(data), f"{name}.zstd"
            data = damaged_file(rng, data) if rng.random() < 0.5 else data
        (folder / name).write_bytes(data)
        if rng.random() < 0.5:
            return folder / name
        about = json.loads(json.dumps(self._metadata))
        about["rosbag2_bagfile_information"]["relative_file_paths"] = [name]
        way = rng.integers(4)
        if way == 0:
            about = with_other_values(rng, about)
        content = yaml.safe_dump(about, allow_unicode=True).encode()
        (folder / "metadata.yaml").write_bytes(with_other_tokens(rng, content) if way == 1 else content)
        return folder

    def _bag(self, n: int) -> None:
        place = self.make(n)
        self.report.bags += 1
        start = time.process_time()
        try:
            with open_bag(place) as bag:
                self.report.opened += 1
                readers = [
                    self._decode,
                    self._describe,
                    self._sense,
                    self._frames,
                    self._replay,
                    self._inspect,
                ]
                for reader in [*readers, *([self._evaluate, self._export] if n % EVALUATED == 0 else [])]:
                    self._read(n, bag, reader)
            self._read(n, place, lambda where: checked_plan(ReplayDescription(bag=str(where))))
        except RsdfmError as error:
            self.report.refused += 1
            self._sentence(n, error)
        except Exception as error:
            self._untyped(n, "open", error)
        took_ms = 1000.0 * (time.process_time() - start)
        if took_ms > self.report.slowest_ms:
            self.report.slowest_ms, self.report.slowest = took_ms, f"bag {n} ({place.name})"

    def _read(self, n: int, what: Any, reader: Callable[[Any], Any]) -> None:
        try:
            with np.errstate(all="ignore"):
                reader(what)
        except RsdfmError as error:
            self._sentence(n, error)
        except Exception as error:
            self._untyped(n, reader.__name__.strip("_"), error)

    def _sentence(self, n: int, error: RsdfmError) -> None:
        """A refusal is one sentence that can be read."""
        if not str(error) or len(str(error)) > 20_000:
            self._untyped(n, "sentence", error)

    def _untyped(self, n: int, reader: str, error: Exception) -> None:
        self.report.untyped.append(f"bag {n} ({reader}): {type(error).__name__}: {str(error)[:300]}")

    # --- the readers ----------------------------------------------------------------------------------------------

    def _decode(self, bag: Bag) -> None:
        for message in bag.messages():
            self.report.messages += 1
            try:
                bag.decode(message)
            except MessageError as error:
                self.report.left_out[error.reason] += 1

    def _describe(self, bag: Bag) -> None:
        info = bag_info(bag, default_map())
        json.dumps(info, allow_nan=False)
        print_info(info, Console(file=io.StringIO(), width=150))

    def _sense(self, bag: Bag) -> None:
        sensors = Sensors(bag, default_map(), features=True)
        for instant in sensors.instants():
            self.report.instants += 1
            for uav, matched in instant.images.items():
                try:
                    sensors.input_of(uav).views(matched)
                except MessageError as error:
                    self.report.left_out[error.reason] += 1
        self.report.left_out.update({reason: n for (_, reason), n in sensors.rejects.items()})

    def _frames(self, bag: Bag) -> None:
        for frame in read_frames(bag, default_map(), truth_from_message):
            assert frame.views

    def _export(self, bag: Bag) -> None:
        """What `bag export` makes of it: a data set."""
        out = self._folder / "data"
        shutil.rmtree(out, ignore_errors=True)
        writer, number = SceneWriter(out, "scene"), 0
        for frame in read_frames(bag, default_map(), truth_from_message):
            writer.add(frame)
            number += 1
        if number:
            writer.finish()
            merge(out)

    def _replay(self, bag: Bag) -> None:
        """What replay_node reads: every stamp and log time must be a time of ROS."""
        plan = replay_plan(bag, default_map())
        assert plan.frames < 2**31
        for message in bag.messages(sorted(plan.outputs)):
            stamp = header_stamp_ns(message.raw)
            assert -CLOCK_S <= message.log_ns // 10**9 < CLOCK_S, f"log time {message.log_ns}"
            assert stamp is None or -CLOCK_S <= stamp // 10**9 < CLOCK_S

    def _inspect(self, bag: Bag) -> None:
        json.dumps(bag_facts(bag, [], 20), allow_nan=False)

    def _evaluate(self, bag: Bag) -> None:
        for recorded in (False, True):
            result = evaluate_bag(bag, default_map(), self._model, EngineOptions(recorded_features=recorded))
            json.dumps(result, allow_nan=False)
            print_evaluation(result, Console(file=io.StringIO(), width=150))
        self.report.evaluated += 1

    def _note_memory(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.report.rss_mb = [*self.report.rss_mb[:1], pages * os.sysconf("SC_PAGE_SIZE") / 2**20]
        self.report.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status(header: Any, k: int) -> Any:
    kind = typestore().types[STATUS]
    values: dict[str, Any] = {f.name: 0 for f in dataclasses.fields(kind) if f.name != "__msgtype__"}
    reals = dict.fromkeys(("rate_hz", "latency_median_s", "latency_p95_s"), 0.1)
    values |= {"header": header, "agent": AGENTS[0], "frame": k, "frames_processed": k, **reals}
    return kind(**values | {"peers": ["uav2"], "peer_ages_s": np.zeros(1, np.float32)})
