"""Small data sets in the layouts of Air-Co-Pred and UAV3D, written and drawn with geometry of their own.

Nothing of rsdfm_ros is used here: where a vehicle appears in an image follows from the definition of the camera in the
convention of that set (for UAV3D the axes of an Unreal camera by pitch, yaw and roll), so that the reader is judged
independently. The truth is in one right-handed world with the ground at z = 0 and the middle of the scene at (0, 0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

SIZES = {  # length, width, height in metres, and the class that we expect
    "vehicle.car": ((4.4, 1.8, 1.5), 0),
    "vehicle.van": ((5.2, 2.0, 2.2), 1),
    "vehicle.truck": ((7.5, 2.4, 3.0), 2),
    "vehicle.bus": ((11.0, 2.6, 3.2), 3),
}
SPEED = 3.0
PERIOD_S = 0.5
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))


@dataclass(frozen=True)
class Vehicle:
    """A vehicle that drives straight; `start` (2,) m, yaw rad counter-clockwise from +x."""

    category: str
    start: tuple[float, float]
    yaw: float

    def at(self, k: int) -> NDArray[np.float64]:
        """Middle of the underside in frame k."""
        step = SPEED * PERIOD_S * k * np.array([np.cos(self.yaw), np.sin(self.yaw)])
        return np.array([*(np.array(self.start) + step), 0.0])

    def corners(self, k: int) -> NDArray[np.float64]:
        """(8, 3)."""
        length, width, height = SIZES[self.category][0]
        box = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        turn = np.array([[np.cos(self.yaw), np.sin(self.yaw)], [-np.sin(self.yaw), np.cos(self.yaw)]])
        box = box * [length, width, height]
        return self.at(k) + np.column_stack([box[:, :2] @ turn, box[:, 2]])


FLEET = (
    Vehicle("vehicle.car", (-20.0, -6.0), 0.2),
    Vehicle("vehicle.van", (5.0, 14.0), 2.5),
    Vehicle("vehicle.truck", (-8.0, 22.0), -1.2),
    Vehicle("vehicle.bus", (18.0, -16.0), 1.0),
)


@dataclass(frozen=True)
class Eye:
    """A camera in the true world: `axes` (3, 3) with rows right, down, forward."""

    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    focal: float
    size: tuple[int, int]

    def pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, 2) pixels and (N,) depths; the left edge of the image is u = 0."""
        right, down, forward = ((points - self.position) @ self.axes.T).T
        middle = np.array([self.size[1] / 2, self.size[0] / 2])
        return self.focal * np.column_stack([right, down]) / forward[:, None] + middle, forward

    def image(self, k: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: every vehicle is the silhouette of its box in a colour of its own, near ones in front."""
        image = np.full((*self.size, 3), 90, np.uint8)
        far_first = sorted(enumerate(FLEET), key=lambda p: -float(np.linalg.norm(p[1].at(k) - self.position)))
        for n, vehicle in far_first:
            uv, depth = self.pixels(vehicle.corners(k))
            if (depth > 1.0).all():
                hull = cv2.convexHull(np.rint((uv - 0.5) * 16).astype(np.int32))
                cv2.fillConvexPoly(image, hull, COLOURS[n], shift=4)
        return image


def write_tables(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))


def chain(rows: list[dict[str, Any]]) -> None:
    for n, row in enumerate(rows):
        row["prev"] = rows[n - 1]["token"] if n else ""
        row["next"] = rows[n + 1]["token"] if n + 1 < len(rows) else ""


def empty_tables(root: Path, categories: list[str]) -> dict[str, list[dict[str, Any]]]:
    names = "attribute calibrated_sensor category ego_pose instance log map sample sample_annotation sample_data scene"
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in (*names.split(), "sensor", "visibility")}
    tables["category"] = [{"token": f"c-{c}", "name": c, "description": ""} for c in categories]
    tables["attribute"] = [{"token": "a", "name": "vehicle.moving", "description": ""}]
    tables["visibility"] = [
        {"token": str(n + 1), "level": level, "description": ""}
        for n, level in enumerate(("v0-40", "v40-60", "v60-80", "v80-100"))
    ]
    (root / "maps").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / "maps" / "empty.png"), np.zeros((8, 8), np.uint8))
    tables["map"] = [
        {"token": "m", "log_tokens": [], "category": "semantic_prior", "filename": "maps/empty.png"}
    ]
    return tables


def add_scene(
    tables: dict[str, list[dict[str, Any]]], name: str, frames: int, start: int, tick: int
) -> list[str]:
    log = f"log-{name}"
    samples = [
        {"token": f"{name}-s{k}", "timestamp": start + k * tick, "scene_token": f"scene-token-{name}"}
        for k in range(frames)
    ]
    chain(samples)
    tables["sample"] += samples
    tables["log"].append(
        {"token": log, "logfile": name, "vehicle": "", "date_captured": "", "location": "Town03"}
    )
    tables["map"][0]["log_tokens"].append(log)
    tables["scene"].append(
        {
            "token": f"scene-token-{name}",
            "log_token": log,
            "name": name,
            "description": "",
            "nbr_samples": frames,
            "first_sample_token": samples[0]["token"],
            "last_sample_token": samples[-1]["token"],
        }
    )
    return [s["token"] for s in samples]


def add_vehicle(
    tables: dict[str, list[dict[str, Any]]],
    samples: list[str],
    name: str,
    category: str,
    poses: list[tuple[list[float], list[float], list[float]]],
    visibility: str = "4",
) -> None:
    """One instance with (translation, size, rotation) of every frame as that set stores them."""
    rows = [
        {
            "token": f"{s}-{name}",
            "sample_token": s,
            "instance_token": f"{samples[0]}-{name}",
            "visibility_token": visibility,
            "attribute_tokens": ["a"],
            "translation": t,
            "size": size,
            "rotation": q,
            "num_lidar_pts": 1,
            "num_radar_pts": 0,
        }
        for s, (t, size, q) in zip(samples, poses, strict=True)
    ]
    chain(rows)
    tables["sample_annotation"] += rows
    tables["instance"].append(
        {
            "token": f"{samples[0]}-{name}",
            "category_token": f"c-{category}",
            "nbr_annotations": len(rows),
            "first_annotation_token": rows[0]["token"],
            "last_annotation_token": rows[-1]["token"],
        }
    )


def add_data(tables: dict[str, list[dict[str, Any]]], token: str, **row: Any) -> None:
    tables["sample_data"].append({"token": token, "prev": "", "next": "", **row})


# --- Air-Co-Pred: UAV_1 … UAV_4 and LIDAR_TOP; right-handed; the cameras' height is 0 and the ground is at −50 m ---

AIR_SIZE = (90, 160)
AIR_ALTITUDE = 50.0


def air_eye(uav: int) -> Eye:
    """UAV 1 … 4 look at the middle from four sides, 50 m up."""
    angle = np.pi / 2 * (uav - 1) + 0.3
    position = np.array([38 * np.cos(angle), 38 * np.sin(angle), AIR_ALTITUDE])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Eye(position, np.stack([right, np.cross(forward, right), forward]), 110.0, AIR_SIZE)


def wxyz(R: NDArray[np.float64]) -> list[float]:
    x, y, z, w = Rotation.from_matrix(R).as_quat().tolist()
    return [w, x, y, z]


def write_air_co_pred(
    root: Path, *, frames: int = 3, scenes: tuple[str, ...] = ("scene-0-48", "scene-0-9"), uavs: int = 4
) -> Path:
    """A set in the layout of Air-Co-Pred; from the fifth on UAVs fly where the first ones do."""
    tables = empty_tables(root, [*SIZES, "human.pedestrian.adult"])
    channels = [f"UAV_{uav}" for uav in range(1, uavs + 1)]
    tables["sensor"] = [{"token": f"sensor-{c}", "channel": c, "modality": "camera"} for c in channels]
    tables["sensor"].append({"token": "sensor-lidar", "channel": "LIDAR_TOP", "modality": "lidar"})
    world = np.array([0.0, 0.0, -AIR_ALTITUDE])  # of the true origin
    tables["calibrated_sensor"].append(_mount("mount-lidar", "sensor-lidar", [0, 0, 0], [1, 0, 0, 0], []))
    for uav, channel in enumerate(channels, 1):
        eye = air_eye(uav)
        K = [[eye.focal, 0, AIR_SIZE[1] / 2], [0, eye.focal, AIR_SIZE[0] / 2], [0, 0, 1]]
        # the body is turned about z; what is left for the mount is the same for all four
        tables["calibrated_sensor"].append(
            _mount(f"mount-{channel}", f"sensor-{channel}", [0, 0, 0], wxyz(_body(uav).T @ eye.axes.T), K)
        )
    for name in scenes:
        samples = add_scene(tables, name, frames, 1_700_000_000_000_000, 500_000)
        for k, s in enumerate(samples):
            stamp = 1_700_000_000_000_000 + k * 500_000
            for uav, channel in enumerate(channels, 1):
                file = f"samples/{channel}/{name}__{channel}__{stamp}.jpg"
                _save(root / file, air_eye(uav).image(k), [cv2.IMWRITE_JPEG_QUALITY, 98])
                pose = f"{s}-{channel}-pose"
                tables["ego_pose"].append(
                    {
                        "token": pose,
                        "timestamp": stamp,
                        "rotation": wxyz(_body(uav)),
                        "translation": (air_eye(uav).position + world).tolist(),
                    }
                )
                common = {
                    "sample_token": s,
                    "ego_pose_token": pose,
                    "calibrated_sensor_token": f"mount-{channel}",
                }
                common |= {"fileformat": "jpg", "height": AIR_SIZE[0], "width": AIR_SIZE[1]}
                add_data(
                    tables, f"{s}-{channel}", **common, timestamp=stamp, is_key_frame=True, filename=file
                )
                sweep = file.replace("samples", "sweeps").replace(str(stamp), str(stamp + 250_000))
                add_data(
                    tables,
                    f"{s}-{channel}-sweep",
                    **common,
                    timestamp=stamp + 250_000,
                    is_key_frame=False,
                    filename=sweep,
                )
            tables["ego_pose"].append(
                {
                    "token": f"{s}-lidar-pose",
                    "timestamp": stamp,
                    "rotation": [1, 0, 0, 0],
                    "translation": [0, 0, 0],
                }
            )
            add_data(
                tables,
                f"{s}-lidar",
                sample_token=s,
                ego_pose_token=f"{s}-lidar-pose",
                calibrated_sensor_token="mount-lidar",
                timestamp=stamp,
                fileformat="pcd",
                is_key_frame=True,
                height=0,
                width=0,
                filename=f"samples/LIDAR_TOP/{stamp}.pcd.bin",
            )
        for n, vehicle in enumerate(FLEET):
            length, width, height = SIZES[vehicle.category][0]
            q = [float(np.cos(vehicle.yaw / 2)), 0.0, 0.0, float(np.sin(vehicle.yaw / 2))]
            poses = []
            for k in range(frames):
                centre = vehicle.at(k) + world + [0.0, 0.0, height / 2]
                poses.append((centre.tolist(), [width, length, height], q))
            add_vehicle(tables, samples, f"v{n}", vehicle.category, poses, visibility=str(4 - n % 2))
        walker = [([1.0, 1.0, -49.1], [0.6, 0.6, 1.8], [1.0, 0.0, 0.0, 0.0])] * frames
        add_vehicle(tables, samples, "walker", "human.pedestrian.adult", walker)
    write_tables(root / "v1.0-trainval", tables)
    return root


def _body(uav: int) -> NDArray[np.float64]:
    angle = np.pi / 2 * (uav - 1) + 0.3 + np.pi
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


def _mount(token: str, sensor: str, t: list[float], q: list[float], K: list[Any]) -> dict[str, Any]:
    return {"token": token, "sensor_token": sensor, "translation": t, "rotation": q, "camera_intrinsic": K}


def _save(path: Path, image: NDArray[np.uint8], options: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1], options or [])


# --- UAV3D: five cameras on each of five UAVs; CARLA's left-handed world; camera poses in calibrated_sensor ---

UAV3D_SIZE = (135, 240)
UAV3D_ALTITUDE = 60.0
UAV3D_CENTRE = np.array(
    [112.0, -47.0, 1.75]
)  # of the scene in CARLA's town, left-handed; the road is at 1.75 m
UAV3D_SIDES = {
    "FRONT": 0.0,
    "RIGHT": 90.0,
    "BACK": 180.0,
    "LEFT": -90.0,
}  # yaw in degrees, clockwise from above
_CORNERS = np.array([[0, 0], [14, 14], [14, -14], [-14, 14], [-14, -14]])


def unreal_axes(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Rows forward, right, up of an Unreal rotation (degrees), in the left-handed world."""
    (sp, cp), (sy, cy), (sr, cr) = (
        (np.sin(np.deg2rad(a)), np.cos(np.deg2rad(a))) for a in (pitch, yaw, roll)
    )
    return np.array(
        [
            [cp * cy, cp * sy, sp],
            [sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, -sr * cp],
            [-(cr * sp * cy + sr * sy), cy * sr - cr * sp * sy, cr * cp],
        ]
    )


def euler_wxyz(pitch: float, yaw: float, roll: float) -> list[float]:
    """The quaternion that UAV3D stores: roll, pitch, yaw about fixed x, y, z as if all were right-handed."""
    x, y, z, w = Rotation.from_euler("xyz", [roll, pitch, yaw], degrees=True).as_quat().tolist()
    return [w, x, y, z]


def uav3d_camera(uav: int, side: str, k: int) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    """Position in CARLA's world, and pitch, yaw, roll in degrees."""
    xy = _CORNERS[uav] + [0.5 * k, 0.0]
    pitch, yaw = (-90.0, 0.0) if side == "BOTTOM" else (-45.0, UAV3D_SIDES[side])
    position = UAV3D_CENTRE + np.array([xy[0], xy[1], UAV3D_ALTITUDE])
    return position, (pitch, yaw + 3.0 * uav, 1.5 * (side != "BOTTOM"))


def to_true(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """From CARLA's world to the true one."""
    return (points - UAV3D_CENTRE) * [1.0, -1.0, 1.0]


def uav3d_eye(uav: int, side: str, k: int) -> Eye:
    position, rotation = uav3d_camera(uav, side, k)
    forward, right, up = unreal_axes(*rotation) * [1.0, -1.0, 1.0]
    return Eye(to_true(position), np.stack([right, -up, forward]), UAV3D_SIZE[1] / 2, UAV3D_SIZE)


def write_uav3d(
    root: Path, *, frames: int = 3, scenes: tuple[str, ...] = ("scene_0000", "scene_0001")
) -> Path:
    """A set in the layout of UAV3D; timestamps in nanoseconds, like its file names."""
    tables = empty_tables(root, ["vehicle"])
    sides = ["FRONT", "BACK", "LEFT", "RIGHT", "BOTTOM"]
    channels = [(f"CAMERA_{side}_id_{uav}", uav, side) for uav in range(5) for side in sides]
    tables["sensor"] = [{"token": f"sensor-{c}", "channel": c, "modality": "camera"} for c, _, _ in channels]
    tables["ego_pose"].append(
        {"token": "pose", "timestamp": 0, "rotation": [1, 0, 0, 0], "translation": [0, 0, 0]}
    )
    f = UAV3D_SIZE[1] / 2
    K = [[f, 0, UAV3D_SIZE[1] / 2], [0, f, UAV3D_SIZE[0] / 2], [0, 0, 1]]
    for number, name in enumerate(scenes):
        start = 1_701_307_796_749_329_408 + number * 10**11
        samples = add_scene(tables, name, frames, start, 500_000_000)
        for k, s in enumerate(samples):
            stamp = start + k * 500_000_000
            for channel, uav, side in channels:
                position, rotation = uav3d_camera(uav, side, k)
                mount = f"{s}-{channel}-mount"
                tables["calibrated_sensor"].append(
                    _mount(mount, f"sensor-{channel}", position.tolist(), euler_wxyz(*rotation), K)
                )
                file = f"sweeps/town03_row1/{channel}/{stamp}.png"
                _save(root / file, uav3d_eye(uav, side, k).image(k))
                add_data(
                    tables,
                    f"{s}-{channel}",
                    sample_token=s,
                    ego_pose_token="pose",
                    calibrated_sensor_token=mount,
                    timestamp=stamp,
                    fileformat=".png",
                    is_key_frame=True,
                    height=UAV3D_SIZE[0],
                    width=UAV3D_SIZE[1],
                    filename=file,
                )
        for n, vehicle in enumerate(FLEET):
            poses = []
            for k in range(frames):
                place = vehicle.at(k) * [1.0, -1.0, 1.0] + UAV3D_CENTRE
                q = euler_wxyz(0.0, -float(np.rad2deg(vehicle.yaw)), 0.0)
                poses.append((place.tolist(), list(SIZES[vehicle.category][0]), q))
            add_vehicle(tables, samples, f"v{n}", "vehicle", poses)
    write_tables(root / "v1.0-trainval", tables)
    return root
