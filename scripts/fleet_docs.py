"""Write docs/fleet.md from the classes and options of fleet/: scripts/with_ros python scripts/fleet_docs.py"""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.options import LISTS, NAV2_NAMES, SETTINGS, SWITCHES, sentence
from rsdfm_ros.settings import allowed

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "fleet.md"

EXAMPLE = """\
name: survey
world: {kind: none}              # real UAVs: cameras and poses come from their drivers
model: models/nano
members:
  - name: alpha                  # namespace /alpha
    topics: {image: cam0/image_raw, camera_info: cam0/camera_info, pose: mavros/local_position/pose_cov}
    extrinsics: [0.1, 0, -0.05, -0.653281, 0.653281, -0.270598, 0.270598]  # 45° down: docs/inputs.md
    parameters: {ground_height_m: 12.0}
  - name: bravo
    remaps: {camera/image_raw: /bravo_camera/image}
    params_files: [bravo.yaml]
uav: {max_age_s: 0.8, remaps: {detections: perception/objects}}
evaluator: {enabled: false}
network: {domain: 7, discovery_range: SUBNET}
"""

HEAD = f"""# Fleet descriptions

Made from the classes in `fleet/description/` by `make docs`. A description says what runs:
`rsdfm fleet FILE` starts it as plain processes, `ros2 launch rsdfm_ros fleet.launch.py description:=FILE` as launch_ros
nodes, from the same specifications. Everything has a default; an unknown name or a value that is not allowed is refused
with a sentence. Shipped ones are in `config/fleet/`. One for real UAVs:

```yaml
{EXAMPLE}```

What stands with a member wins over what stands under `uav`; a ROS parameter file wins over both; options of the command
line or launch arguments win over the file.

## ROS domain

Two fleets in one ROS domain would answer for each other. `rsdfm demo`, `rsdfm fleet` and `rsdfm replay` therefore take
a domain that nothing on this machine uses, hold it until they end, and say which it is:

    ROS domain 100 (ROS_DOMAIN_ID=100 ros2 topic list)

- `network.domain`, `--domain` or `ROS_DOMAIN_ID` choose one instead. With a world of kind `gazebo` or `none`, whose
  other half runs elsewhere, and in launch files, it is ROS' own default 0 without them.
- A domain that was chosen is held too. The fleet is refused, with status 2 and before anything starts, if another
  fleet on this machine holds the domain (the sentence names its process and its folder), or if something there
  publishes `/clock` or `/ground_truth` or lives below the namespace of one of its UAVs. Cameras, poses and a clock
  that come from elsewhere (`gazebo`, `none`) may be there already; the UAVs' own nodes and outputs may not.
- `rsdfm view` and `rsdfm bag record` join the fleet that runs on this machine; among several, `ROS_DOMAIN_ID`
  chooses.
- While it flies, the evaluator checks the publishers. A second publisher of `/clock`, `/ground_truth` or of topics that
  it scores or records, or answers by a node outside the UAV's namespace, make the mission void: it ends with status 2
  and a sentence, `void.json` names the reason, and there is no `result.json`. A UAV that is lost and starts again is no
  second publisher.

The locks are files in `rsdfm_ros_domains` in the folder for temporary files; they end with the process that holds them.
Programs that do not use them are detected by their UDP ports.

Processes that were killed leave files in `/dev/shm`, among them mutexes of Fast DDS for which later processes wait.
Before the first process of a fleet starts, those of its domain are removed if the domain is unused, and those that all
domains share if their reader was killed. Files that cannot be removed, such as those of another user, are named with
the domain.

## The folder of a run

`rsdfm demo`, `fleet`, `replay` and launch files with `out:=` write one folder: result.json, status.jsonl, logs/, and
what is recorded (frames/, bag/); `demo` adds report.html and bev.mp4. All of them serve a page
while they fly ([views.md](views.md#the-page-for-browsers): `--web`, `--no-web`). Descriptions, models, bags and
options are checked before the first process starts.
A line of status.jsonl waits for the answers of all UAVs. One that has not answered for 10 frames and 5 s is lost:
lines and scores go on without it until it answers again.

At the end, and under `agents` in result.json, stands how fast every UAV answered: `images` and `images_answered`,
`images_not_answered` · `rate_answered_hz` of `rate_images_hz`, images per second of real time (a world
that the machine is too slow for does not keep its rate) · `stamp_to_output_p50_ms` and
`stamp_to_output_p95_ms`, from the publication of an image's instant by the world to the last output for it, both by
the clocks of the publishers · `frames_dropped`, by the UAV itself for newer ones · `latency_*_ms`, the UAV's own view:
from the arrival of an image in its process · `processing_*_ms`, computing without waiting.

- A folder with a finished run is refused before anything in it is touched. `--force` (`force:=true`) replaces the run:
  the new one is written to `<out>/unfinished/` and takes its place when it is complete; after an error or Ctrl-C it
  stays there, and the earlier run where it was.
- Without `--out`, an earlier run in the default folder is kept beside it: out/demo becomes out/demo-<its date>.
- One run writes to a folder at a time; a second one is refused and names the process that writes there.
- What a run that failed, was stopped or killed has left is removed by the next one. A bag that it recorded of real UAVs
  (`world.kind: none`) is kept beside instead. Such a fleet has finished when it is stopped.
- Files that are none of a run's are never touched; a folder that holds only such files is refused.
"""


def document() -> str:
    """The whole page."""
    parts = [HEAD, *sections(FleetDescription, "")]
    parts.append(
        "\n## Options\n\nThe same for `rsdfm fleet` (`--respawn-delay-s 5`) and for launch files "
        "(`respawn_delay_s:=5`).\n\n| option | replaces | |\n|---|---|---|\n"
    )
    for name in (*SETTINGS, *LISTS, *SWITCHES):
        replaced = f"`{SETTINGS[name]}`" if name in SETTINGS else ""
        parts.append(f"| `{name}` | {replaced} | {sentence(name)} |\n")
    nav2 = ", ".join(f"`{theirs}` (`{ours}`)" for theirs, ours in NAV2_NAMES.items())
    parts.append(
        f"\nLaunch files also take Nav2's names: {nav2}; `use_sim_time`, `params_file`, `autostart` and `log_level` "
        "are called alike. `True` and `False` are as good as `true` and `false`.\n"
    )
    return "".join(parts)


def sections(kind: type[Any], where: str) -> list[str]:
    """The table of one class, then those of the classes inside it."""
    hints = typing.get_type_hints(kind)
    title = f"`{where}`" if where else "The whole"
    lines = [
        f"\n## {title}\n\n{kind.__doc__}\n\n| setting | type | default | allowed | |\n|---|---|---|---|---|\n"
    ]
    inner: list[str] = []
    for field in dataclasses.fields(kind):
        hint, name = hints[field.name], f"{where}.{field.name}".lstrip(".")
        element = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
        if dataclasses.is_dataclass(hint) or dataclasses.is_dataclass(element):
            nested = hint if dataclasses.is_dataclass(hint) else element
            known = nested.__name__ == "TopicsDescription" and where != "uav"
            inner += [] if known else sections(nested, name if nested is hint else f"{name}[]")
            lines.append(
                f"| `{field.name}` | {'group' if nested is hint else 'list'} | | | {field.metadata['text']} |\n"
            )
            continue
        lines.append(
            f"| `{field.name}` | {words(hint)} | `{default(field)}` | {allowed(field)} | {field.metadata['text']} |\n"
        )
    return [*lines, *inner]


def words(hint: Any) -> str:
    """A type for people."""
    names = {bool: "true or false", int: "integer", float: "number", str: "text"}
    if typing.get_origin(hint) is tuple:
        return {float: "numbers", str: "texts"}[typing.get_args(hint)[0]]
    return names.get(hint, "mapping")


def default(field: dataclasses.Field[Any]) -> str:
    """The default as YAML."""
    value = field.default_factory() if field.default is dataclasses.MISSING else field.default  # type: ignore[misc]
    value = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(value, default_flow_style=True)).splitlines()[0]


if __name__ == "__main__":
    TARGET.write_text(document())
