"""Small data sets in the layouts of Griffin, CoPerception-UAVs and AirV2X, drawn like those of support.public_sets.

As there, nothing of rsdfm_ros is used: rotations are written out as their definitions.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from support.public_sets import (
    FLEET,
    SIZES,
    Eye,
    add_data,
    add_scene,
    add_vehicle,
    empty_tables,
    unreal_axes,
    write_tables,
)

Array = NDArray[np.float64]

SIZE = (96, 160)
FOCAL = 80.0
GRIFFIN_GROUND = 0.4
GRIFFIN_CENTRE = np.array([120.0, -35.0, GRIFFIN_GROUND])
GRIFFIN_TYPES = {"vehicle.car": "Car", "vehicle.van": "Van", "vehicle.truck": "Truck", "vehicle.bus": "Bus"}


def fixed_axes(roll: float, pitch: float, yaw: float) -> Array:
    """(3, 3) of rotations about fixed x, then y, then z, in degrees, right-handed."""
    (sr, cr), (sp, cp), (sy, cy) = ((np.sin(a), np.cos(a)) for a in np.deg2rad([roll, pitch, yaw]))
    x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(z @ y @ x)


def mount(yaw: float, down: float) -> Array:
    """Rows right, down, forward of a camera in a body (x forward, y left, z up): turned left and down, in degrees."""
    (sy, cy), (sd, cd) = ((np.sin(a), np.cos(a)) for a in np.deg2rad([yaw, down]))
    forward, right = np.array([cy * cd, sy * cd, -sd]), np.array([sy, -cy, 0.0])
    return np.stack([right, np.cross(forward, right), forward])


GRIFFIN_MOUNTS = {
    "front": (0.0, 0.0),
    "left": (90.0, 0.0),
    "back": (180.0, 0.0),
    "right": (-90.0, 0.0),
    "bottom": (0.0, 90.0),
}
"""Camera → yaw and how far it looks down; those of the UAV look down by 35° more, but for the bottom one."""


def griffin_ego(agent: str, frame: int) -> tuple[Array, tuple[float, float, float]]:
    """Position in the true world (ground at z = 0) and roll, pitch, yaw in degrees."""
    t = frame / 10.0
    if agent == "vehicle":
        return np.array([-30.0 + 2.0 * t, 3.0, 0.0]), (0.0, 0.0, 4.0)
    return np.array([-12.0 + 2.0 * t, -2.0, 35.0]), (3.0, -2.0, 20.0)


def griffin_eye(agent: str, camera: str, frame: int) -> Eye:
    place, turn = griffin_ego(agent, frame)
    R = fixed_axes(*turn)
    axes, offset = griffin_mount(agent, camera)
    return Eye(place + R @ offset, axes @ R.T, FOCAL, SIZE)


def griffin_mount(agent: str, camera: str) -> tuple[Array, Array]:
    yaw, down = GRIFFIN_MOUNTS[camera]
    if agent == "vehicle":
        return mount(yaw, down), np.array([0.5, 0.0, 1.5])
    return mount(yaw, down if camera == "bottom" else down + 35.0), np.array([0.2, 0.0, -0.1])


def write_griffin(
    root: Path, *, seconds: float = 3.5, columns: int = 12, scenes: tuple[str, ...] = ("Town03-000",)
) -> Path:
    """A set in the layout of Griffin at 10 Hz; columns: of the label files."""
    count = round(10 * seconds) + 1
    names = [[f"{1000 * n + k:06d}" for k in range(count)] for n in range(len(scenes))]
    infos = [
        {"name": name, "info": {"frames": frames, "weather": "ClearNoon"}}
        for name, frames in zip(scenes, names, strict=True)
    ]
    for agent in ("vehicle", "drone"):
        side = root / f"{agent}-side"
        for folder in ("calib", "pose", "label"):
            (side / folder).mkdir(parents=True)
        (side / "scene_infos.json").write_text(json.dumps(infos))
        cameras = [c for c in GRIFFIN_MOUNTS if agent == "drone" or c != "bottom"]
        K = [[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]]
        for camera in cameras:
            (side / "camera" / camera).mkdir(parents=True)
            axes, offset = griffin_mount(agent, camera)
            T = np.eye(4)
            T[:3, :3], T[:3, 3] = axes.T, offset
            calib = {"intrinsic": K, "extrinsic": T.tolist()}
            (side / "calib" / f"{camera}.json").write_text(json.dumps(calib))
        for frames in names:
            for k, frame in enumerate(frames):
                _griffin_frame(side, agent, frame, k, columns)
                for camera in cameras if k % 5 == 0 else []:  # what is read; the others would only take time
                    image = griffin_eye(agent, camera, k).image(k / 5)  # type: ignore[arg-type]
                    path = side / "camera" / camera / f"{frame}.png"
                    assert cv2.imwrite(str(path), image[..., ::-1])
    return root


def _griffin_frame(side: Path, agent: str, frame: str, k: int, columns: int) -> None:
    place, turn = griffin_ego(agent, k)
    x, y, z = (place + GRIFFIN_CENTRE).tolist()
    pose = dict(zip(("x", "y", "z", "roll", "pitch", "yaw"), (x, y, z, *turn), strict=True))
    (side / "pose" / f"{frame}.json").write_text(json.dumps(pose))
    R, lines = fixed_axes(*turn), []
    for n, vehicle in enumerate(FLEET):
        size = SIZES[vehicle.category][0]
        centre = R.T @ (np.add(vehicle.at(k / 5), [0.0, 0.0, size[2] / 2]) - place)  # type: ignore[arg-type]
        box = R.T @ fixed_axes(0.0, 0.0, float(np.rad2deg(vehicle.yaw)))
        pitch = np.rad2deg(np.arcsin(-box[2, 0]))
        roll, yaw = np.rad2deg([np.arctan2(box[2, 1], box[2, 2]), np.arctan2(box[1, 0], box[0, 0])])
        angles = [roll, pitch, yaw] if columns > 9 else [yaw]
        row = [
            GRIFFIN_TYPES[vehicle.category],
            *centre,
            *size,
            *angles,
            100 + n,
            *([0.7] if columns == 12 else []),
        ]
        lines.append(" ".join(str(value) for value in row))
    walker = ["Pedestrian", 5.0, 1.0, 0.9, 0.5, 0.5, 1.8, *([0.0] * (3 if columns > 9 else 1)), 900]
    lines.append(" ".join(map(str, [*walker, *([1.0] if columns == 12 else [])])))
    (side / "label" / f"{frame}.txt").write_text("\n".join(lines) + "\n")


# --- CoPerception-UAVs: five UAVs with five cameras; CARLA's world for boxes, AirSim's (z down) for cameras ---

COPERCEPTION_SIZE = (90, 160)
COPERCEPTION_ROAD = 0.3
COPERCEPTION_STAMP = 1_620_000_000_000_000_000
_SIDES = {"FRONT": 0.0, "RIGHT": 90.0, "BACK": 180.0, "LEFT": -90.0, "BOTTOM": 0.0}
_PLACES = np.array([[0, 0], [22, 22], [22, -22], [-22, 22], [-22, -22]])


def write_coperception(
    root: Path,
    *,
    group: str = "v1.0-40m-group",
    samples: int = 3,
    z_down: bool = True,
    prefix: str = "CAM",
    scenes: tuple[str, ...] = ("scene_0",),
) -> Path:
    """A set in the layout of CoPerception-UAVs: 4 s between samples, camera poses of the world in calibrated_sensor."""
    tables = empty_tables(root, ["vehicle.audi.a2", "vehicle.carlamotors.carlacola", "vehicle.volkswagen.t2"])
    altitude = float(group.split("-")[1].removesuffix("m"))
    channels = [(f"{prefix}_{side}_id_{uav}", uav, side) for uav in range(5) for side in _SIDES]
    tables["sensor"] = [{"token": f"sensor-{c}", "channel": c, "modality": "camera"} for c, _, _ in channels]
    h, w = COPERCEPTION_SIZE
    K = [[w / 2, 0, w / 2], [0, w / 2, h / 2], [0, 0, 1]]
    for number, name in enumerate(scenes):
        start = COPERCEPTION_STAMP + number * 10**12
        tokens = add_scene(tables, name, samples, start, 4_000_000_000)
        for k, s in enumerate(tokens):
            for channel, uav, side in channels:
                pitch, yaw = (-90.0, 0.0) if side == "BOTTOM" else (-45.0, _SIDES[side])
                place = np.array([*(_PLACES[uav] + [3.0 * k, 0.0]), altitude + COPERCEPTION_ROAD])
                ego = f"{s}-{uav}-ego"
                if side == "FRONT":
                    stored = place * [1, 1, -1 if z_down else 1]
                    pose = {
                        "token": ego,
                        "timestamp": 0,
                        "rotation": [1, 0, 0, 0],
                        "translation": stored.tolist(),
                    }
                    tables["ego_pose"].append(pose)
                # Right-handed about x forward, y right, z down: yaw clockwise from above, pitch up.
                q = _wxyz(fixed_axes(0.0, pitch, yaw))
                mount_token = f"{s}-{channel}-mount"
                tables["calibrated_sensor"].append(
                    {
                        "token": mount_token,
                        "sensor_token": f"sensor-{channel}",
                        "translation": (place * [1, 1, -1 if z_down else 1]).tolist(),
                        "rotation": q,
                        "camera_intrinsic": K,
                    }
                )
                file = root / f"sweeps/{channel}/{start + k * 4_000_000_000}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                image = coperception_eye(place, pitch, yaw).image(8 * k)
                assert cv2.imwrite(str(file), image[..., ::-1])
                add_data(
                    tables,
                    f"{s}-{channel}",
                    sample_token=s,
                    ego_pose_token=ego,
                    calibrated_sensor_token=mount_token,
                    timestamp=start + k * 4_000_000_000,
                    fileformat=".png",
                    is_key_frame=True,
                    height=h,
                    width=w,
                    filename=str(file.relative_to(root)),
                )
        names = [
            "vehicle.audi.a2",
            "vehicle.volkswagen.t2",
            "vehicle.carlamotors.carlacola",
            "vehicle.audi.a2",
        ]
        for n, vehicle in enumerate(FLEET):
            length, width, height = SIZES[vehicle.category][0]
            q = _wxyz(fixed_axes(0.0, 0.0, -float(np.rad2deg(vehicle.yaw))))
            poses = []
            for k in range(samples):
                x, y, z = vehicle.at(8 * k)
                centre = [x, -y, z + COPERCEPTION_ROAD + height / 2]
                poses.append((centre, [width, length, height], q))
            add_vehicle(tables, tokens, f"v{n}", names[n], poses, visibility="")
    write_tables(root / group, tables)
    return root


def coperception_eye(place: Array, pitch: float, yaw: float) -> Eye:
    """The camera in the true world, from its place in CARLA's (y to the right) and Unreal's angles."""
    forward, right, up = unreal_axes(pitch, yaw, 0.0) * [1.0, -1.0, 1.0]
    position = place * [1.0, -1.0, 1.0] - [0.0, 0.0, COPERCEPTION_ROAD]
    return Eye(position, np.stack([right, -up, forward]), COPERCEPTION_SIZE[1] / 2, COPERCEPTION_SIZE)


def _wxyz(R: Array) -> list[float]:
    """Quaternion of a rotation about fixed axes, through scipy."""
    x, y, z, w = Rotation.from_matrix(R).as_quat().tolist()
    return [w, x, y, z]


# --- AirV2X: pickled metadata; CARLA's world; poses x, y, z, roll, yaw, pitch; halves of sizes ---

AIRV2X_ROAD = 8.2
AIRV2X_AGENTS: dict[int, tuple[str, dict[str, tuple[float, float]]]] = {
    7: ("drone", {"bev_camera": (-60.0, 0.0)}),
    12: ("drone", {"bev_camera": (-50.0, 0.0)}),
    3: ("vehicle", {"front_camera": (0.0, 0.0), "rear_camera": (0.0, 180.0)}),
}
"""Number → kind, and pitch and yaw of its cameras in degrees, as Unreal counts them."""
_AIRV2X_EGO = {7: [-20.0, 4.0, 45.0, 0.0, 10.0, 0.0], 12: [16.0, -12.0, 50.0, 0.0, 170.0, 0.0]}
_AIRV2X_EGO[3] = [-34.0, 0.0, 0.0, 0.0, 5.0, 0.0]


def airv2x_pose(agent: int, camera: str, k: int) -> tuple[list[float], list[float]]:
    """`ego_pos` and `cords` in CARLA's world, frame k of 2 Hz."""
    pitch, yaw = AIRV2X_AGENTS[agent][1][camera]
    ego = np.add(_AIRV2X_EGO[agent], [1.0 * k, 0, AIRV2X_ROAD, 0, 0, 0]).tolist()
    return ego, [0.3, 0.1, -0.2 if agent != 3 else 1.5, 0.0, yaw, pitch]


def airv2x_eye(agent: int, camera: str, k: int) -> Eye:
    x, y, z, roll, yaw, pitch = np.add(*airv2x_pose(agent, camera, k))
    forward, right, up = unreal_axes(pitch, yaw, roll) * [1.0, -1.0, 1.0]
    return Eye(np.array([x, -y, z - AIRV2X_ROAD]), np.stack([right, -up, forward]), FOCAL, SIZE)


def write_airv2x(root: Path, *, frames: int = 7, arrays: bool = True) -> Path:
    """One sequence at 10 Hz of which every fifth instant is there, and one between that nobody needs."""
    folder = root / "2025_04_09_22_34_07"
    K = [[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]]
    for k in range(frames):
        step = folder / f"timestamp_{20 + 5 * k:06d}"
        for agent, (kind, cameras) in AIRV2X_AGENTS.items():
            place = step / f"agent_{agent:06d}"
            place.mkdir(parents=True)
            metadata: dict[str, object] = {"agent_type": kind}
            for camera in cameras:
                ego, cords = airv2x_pose(agent, camera, k)
                metadata["odometry"] = {"ego_pos": ego, "ego_speed": 2.0}
                matrix = np.array(K) if arrays else K
                metadata[camera] = {"cords": cords, "intrinsic": matrix, "extrinsic": np.eye(4).tolist()}
                assert cv2.imwrite(
                    str(place / f"{camera}.png"), airv2x_eye(agent, camera, k).image(k)[..., ::-1]
                )
            (place / "metadata.pkl").write_bytes(pickle.dumps(metadata))
        objects: dict[int, dict[str, object]] = {900: {"class": 12, "location": [0] * 6}}
        for n, vehicle in enumerate(FLEET):
            length, width, height = SIZES[vehicle.category][0]
            x, y, z = vehicle.at(k)
            location = [x, -y, z + AIRV2X_ROAD, 0.0, -float(np.rad2deg(vehicle.yaw)), 0.0]
            extent = [length / 2, width / 2, height / 2]
            objects[30 + n] = {
                "class": 1 + n,
                "location": location,
                "center": [0, 0, height / 2],
                "extent": extent,
            }
        (step / "objects.pkl").write_bytes(pickle.dumps(objects))
    (folder / "timestamp_000021" / "agent_000007").mkdir(parents=True)
    return root
