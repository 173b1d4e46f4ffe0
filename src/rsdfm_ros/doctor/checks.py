"""Checks of the installation: what is installed, what is missing, and how to install it.

Checks that can crash or hang (graphics drivers, DDS) or take long to load run in a process of their own with a time
limit; all checks run at once.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rsdfm_ros.shipped import SHIPPED_MODEL, shipped

SUPPORTED_PYTHON = ((3, 10), (3, 13))
MINIMUM_DISK_GB = 2.0
TRIAL_LIMIT_S = 60.0

MAKE_SETUP = "run `make setup`"
CORE_PACKAGES = (
    "numpy",
    "scipy",
    "opencv-python",
    "pyyaml",
    "rich",
    "zstandard",
    "safetensors",
    "mujoco",
    "rosbags",
    "websockets",
)
OPTIONAL_ROS = ("launch_ros", "vision_msgs", "tf2_msgs", "tf2_ros")

_RENDER_TRIAL = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 3"/><geom type="box" size="1 1 .1" rgba="1 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 64, 64) as renderer:
    renderer.update_scene(data)
    image = renderer.render()
assert image.max() > 50, "the image is black"
"""


_TORCH_TRIAL = """
import json, torch
device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
print(json.dumps([torch.__version__, device, torch.get_num_threads()]))
"""


@dataclass(frozen=True)
class Check:
    """One check: `status` is "ok", "missing" (needed) or "absent" (works without); of a fleet also "warning" or
    "error"."""

    name: str
    status: str
    found: str
    cure: str = ""


def _trial(arguments: list[str]) -> tuple[bool, str]:
    """Run Python with `arguments`: success and its output, or failure and its last line."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=TRIAL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TRIAL_LIMIT_S:.0f} s"
    if done.returncode == 0:
        return True, done.stdout.strip()
    lines = done.stderr.strip().splitlines()
    return False, lines[-1] if lines else f"exit status {done.returncode}"


def check_python() -> Check:
    """Python version and machine."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    low, high = SUPPORTED_PYTHON
    good = low <= sys.version_info[:2] <= high and platform.machine() in ("x86_64", "AMD64")
    cure = "use CPython 3.10 to 3.13 on x86-64: `make setup PYTHON=python3.11`"
    return Check("Python", "ok" if good else "missing", found, "" if good else cure)


def check_build_tools() -> Check:
    """Compiler, CMake and make, which build the messages."""
    names = {"C++ compiler": ("c++", "g++"), "cmake": ("cmake",), "make": ("make",)}
    missing = [name for name, programs in names.items() if not any(map(shutil.which, programs))]
    if missing:
        cure = "sudo apt-get install -y cmake g++ make"
        return Check("build tools", "missing", f"no {', '.join(missing)}", cure)
    try:
        version = subprocess.run(
            ["cmake", "--version"], capture_output=True, text=True, timeout=TRIAL_LIMIT_S, check=False
        ).stdout
    except subprocess.TimeoutExpired:
        version = ""
    number = re.search(r"\d+\.\d+\.\d+", version)
    return Check("build tools", "ok", f"C++ compiler, make, CMake {number.group() if number else '?'}")


def check_packages() -> Check:
    """Python packages of the core."""
    versions, missing = [], []
    for name in CORE_PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if name == "opencv-python" and importlib.util.find_spec("cv2"):  # Debian's or the headless build
                versions.append("OpenCV")
            else:
                missing.append(name)
    if missing:
        return Check("Python packages", "missing", f"no {', '.join(missing)}", MAKE_SETUP)
    return Check("Python packages", "ok", ", ".join(versions))


def check_torch() -> Check:
    """PyTorch, its threads, and its device."""
    good, text = _trial(["-c", _TORCH_TRIAL])
    if not good:
        return Check("PyTorch", "missing", text, MAKE_SETUP)
    version, device, threads = json.loads(text.splitlines()[-1])
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        flags = ""
    bf16 = "bf16 in hardware" if re.search(r"avx512_bf16|amx_bf16", flags) else "no bf16 in the CPU"
    return Check("PyTorch", "ok", f"{version}, {device}, {threads} threads, {bf16}")


def check_rendering() -> Check:
    """An image rendered without a display, as the simulator needs."""
    good, text = _trial(["-c", _RENDER_TRIAL])
    if good:
        return Check("rendering", "ok", f"MuJoCo draws (MUJOCO_GL={os.environ.get('MUJOCO_GL', 'not set')})")
    cure = "sudo apt-get install -y libegl1 libgl1-mesa-dri libopengl0, and set MUJOCO_GL=egl"
    return Check("rendering", "missing", text, cure)


def check_messages() -> Check:
    """rclpy and the compiled messages, with one message sent to ourselves over DDS."""
    for module in ("rclpy", "rsdfm_ros.msg"):
        if importlib.util.find_spec(module) is None:
            return Check(
                "ROS 2", "missing", f"cannot import {module}", f"{MAKE_SETUP}, or source a ROS 2 workspace"
            )
    good, text = _trial(["-m", "rsdfm_ros.nodes.checks.dds_check"])
    if not good:
        cure = (
            "allow UDP on the loopback interface, and look at ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE"
        )
        return Check("ROS 2", "missing", f"a message did not come back: {text}", cure)
    result = json.loads(text.splitlines()[-1])
    return Check(
        "ROS 2", "ok", f"message round trip in {result['seconds'] * 1e3:.1f} ms over {result['rmw']}"
    )


def check_transport() -> Check:
    """The DDS settings without which large messages get lost."""
    name, reach = "FASTDDS_BUILTIN_TRANSPORTS", "ROS_AUTOMATIC_DISCOVERY_RANGE"
    value, rmw = os.environ.get(name, ""), os.environ.get("RMW_IMPLEMENTATION", "")
    if rmw and "fastrtps" not in rmw:
        return Check("DDS transport", "ok", f"as {rmw} chooses; {name} is for Fast DDS")
    if os.environ.get(reach) == "LOCALHOST":
        text = f"shared memory and UDP, as {reach}=LOCALHOST says: {name} has no effect"
        return Check("DDS transport", "ok", f"{text}, best-effort images above 520 kB get lost")
    if value:
        return Check("DDS transport", "ok", f"{name}={value}")
    return Check(
        "DDS transport", "absent", f"{name} is not set: large images get lost", f"export {name}=LARGE_DATA"
    )


def check_optional_ros() -> Check:
    """Packages of a full ROS installation that we use where they exist."""
    there = [name for name in OPTIONAL_ROS if importlib.util.find_spec(name)]
    absent = [name for name in OPTIONAL_ROS if name not in there]
    if not absent:
        return Check("full ROS", "ok", ", ".join(there))
    return Check(
        "full ROS", "absent", f"without {', '.join(absent)}", "optional; they come with a ROS 2 installation"
    )


def check_viewer() -> Check:
    """The viewer of `rsdfm view`, an extra."""
    if sys.version_info < (3, 11):
        return Check(
            "viewer", "absent", "rerun-sdk needs Python 3.11", "optional; `rsdfm report` needs no viewer"
        )
    try:
        return Check("viewer", "ok", f"rerun-sdk {importlib.metadata.version('rerun-sdk')}")
    except importlib.metadata.PackageNotFoundError:
        return Check("viewer", "absent", "no rerun-sdk", "optional, for `rsdfm view`: run `make setup-view`")


def check_weights() -> Check:
    """The shipped weights against the hash in their manifest."""
    folder = shipped(SHIPPED_MODEL)
    if not (folder / "manifest.yaml").is_file():
        return Check(
            "weights",
            "missing",
            f"no {SHIPPED_MODEL}",
            "check out the repository again, or run `./rsdfm train`",
        )
    try:
        from rsdfm_ros.errors import RsdfmError
        from rsdfm_ros.model.manifest import WEIGHTS, read_manifest, sha256_of

        expected, actual = read_manifest(folder)["weights_sha256"], sha256_of(folder / WEIGHTS)
    except (RsdfmError, OSError, ImportError) as error:
        return Check("weights", "missing", str(error), f"git checkout -- {SHIPPED_MODEL}")
    if actual != expected:
        return Check(
            "weights", "missing", f"{folder} does not match its manifest", f"git checkout -- {SHIPPED_MODEL}"
        )
    return Check("weights", "ok", f"{SHIPPED_MODEL}, sha256 {actual[:12]}… as its manifest says")


def check_video() -> Check:
    """An encoder for bev.mp4 that browsers can play."""
    try:
        from rsdfm_ros.evaluation.report.video import find_encoder

        encoder = find_encoder()
    except (ImportError, OSError) as error:
        return Check("video", "missing", str(error), MAKE_SETUP)
    if encoder:
        return Check("video", "ok", f"H.264 by {Path(encoder).name}")
    return Check("video", "absent", "no ffmpeg with H.264: films become VP9", "pip install imageio-ffmpeg")


def check_disk() -> Check:
    """Free space where results go."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < MINIMUM_DISK_GB:
        return Check("disk", "missing", f"{free:.1f} GB free here", f"free {MINIMUM_DISK_GB:.0f} GB")
    return Check("disk", "ok", f"{free:.0f} GB free here")


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_build_tools,
    check_packages,
    check_torch,
    check_rendering,
    check_messages,
    check_transport,
    check_optional_ros,
    check_viewer,
    check_weights,
    check_video,
    check_disk,
)


def examine() -> Iterator[Check]:
    """The findings of all checks, in order."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        yield from pool.map(lambda check: check(), CHECKS)
