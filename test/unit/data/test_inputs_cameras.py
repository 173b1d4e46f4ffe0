"""Rectified images show 3D points where a pinhole camera sees them; a camera_info that is no camera is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsdfm_ros.data.messages.cameras import camera_from_message
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.views.rectify import Rectifier, rectified_intrinsics
from support.input_messages import info

H, W = 360, 480
K = np.array([[400.0, 0, 251.3], [0, 410.0, 170.2], [0, 0, 1]])
BARREL = (-0.28, 0.09, 0.001, -0.0008, -0.012)
RATIONAL = (0.4, -0.2, 0.0005, -0.0003, 0.02, 0.75, -0.1, 0.01)
FISHEYE = (0.03, -0.012, 0.004, -0.001)
CAMERAS = [
    ("plumb_bob", BARREL, K),
    ("plumb_bob", (0.15, 0.02, 0.0, 0.0, 0.0), K),
    ("rational_polynomial", RATIONAL, K),
    ("equidistant", FISHEYE, K),
    ("equidistant", (0.0, 0.0, 0.0, 0.0), np.array([[260.0, 0, 240], [0, 260, 180], [0, 0, 1]])),
]


def seen(points: np.ndarray, k: np.ndarray, model: str, d: tuple[float, ...]) -> np.ndarray:
    """Pixels (N, 2) of ROS at which the distorted camera sees points, by OpenCV."""
    if model == "equidistant":
        return cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), k, np.array(d))[0][:, 0]
    return cv2.projectPoints(points, np.zeros(3), np.zeros(3), k, np.array(d))[0][:, 0]


def blobs(pixels: np.ndarray, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """Bright blobs with their centres at pixels whose first one's centre is at 0."""
    v, u = np.mgrid[0 : size[0], 0 : size[1]]
    image = np.zeros(size)
    for x, y in pixels:
        image += 230 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 2.0**2))
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def centre(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Centre of the blob near a point, from the edge of the image as in this project."""
    u, v = np.floor(near).astype(int)
    patch = image[v - 9 : v + 10, u - 9 : u + 10, 0].astype(float)
    dv, du = np.mgrid[v - 9 : v + 10, u - 9 : u + 10]
    return np.array([(patch * du).sum(), (patch * dv).sum()]) / patch.sum() + 0.5


@pytest.mark.parametrize(("model", "d", "k"), CAMERAS)
def test_known_points_lie_where_the_pinhole_says_after_rectification(
    model: str, d: tuple[float, ...], k: np.ndarray
) -> None:
    message = info(k, (H, W), d=d, model=model)
    camera = camera_from_message(message, (H, W))
    K_rect = rectified_intrinsics(camera)
    # A sparse grid over the rectified image, as 3D points at different depths.
    u, v = np.meshgrid(np.linspace(40, W - 40, 7), np.linspace(40, H - 40, 5))
    grid = np.stack([u.ravel(), v.ravel()], axis=1)
    depth = np.linspace(5, 50, len(grid))[:, None]
    points = (
        np.concatenate([(grid - K_rect[:2, 2]) / np.diag(K_rect)[:2], np.ones((len(grid), 1))], 1) * depth
    )
    pixels = seen(points, k, model, d)
    rectifier = Rectifier()
    for half in (slice(0, None, 2), slice(1, None, 2)):  # blobs must not touch
        out = rectifier(blobs(pixels[half]), message)
        assert np.array_equal(out.K, K_rect)
        errors = [np.linalg.norm(centre(out.image, p) - p) for p in grid[half]]
        assert max(errors) < 0.25, errors  # a half-pixel mistake would be 0.7


def test_half_a_pixel_is_kept_through_rectification() -> None:
    """With hardly any distortion, rectification hardly moves anything: K stays K."""
    message = info(K, (H, W), d=(1e-5, 0, 0, 0, 0), P=K)
    out = Rectifier()(blobs(np.array([[100.0, 90.0]])), message)
    np.testing.assert_allclose(out.K[:2, 2], K[:2, 2] + 0.5)
    np.testing.assert_allclose(centre(out.image, np.array([100.0, 90.0])), [100.5, 90.5], atol=0.02)


@pytest.mark.parametrize(("model", "d", "k"), CAMERAS)
def test_a_rectified_picture_has_no_empty_pixels(model: str, d: tuple[float, ...], k: np.ndarray) -> None:
    out = Rectifier()(np.full((H, W, 3), 200, np.uint8), info(k, (H, W), d=d, model=model))
    assert out.image[1:-1, 1:-1].min() >= 199
    # And it does not throw away the view either: the image reaches an edge of the original or the limit of 60°.
    camera = camera_from_message(info(k, (H, W), d=d, model=model), (H, W))
    wider = out.K * np.array([[0.97, 1, 1], [1, 0.97, 1], [1, 1, 1]])
    corner = np.hypot(*(np.array([W, H]) - wider[:2, 2]) / np.diag(wider)[:2])
    holes = cv2.remap(np.full((H, W), 200, np.uint8), *maps(camera, wider), cv2.INTER_LINEAR)
    assert holes.min() < 199 or corner > np.tan(np.deg2rad(59))


def maps(camera, k_new):  # type: ignore[no-untyped-def]
    from rsdfm_ros.data.messages.views.rectify import rectification_maps

    return rectification_maps(camera, k_new)


def test_the_calibrations_p_is_used_where_it_leaves_the_picture_full() -> None:
    size = (W, H)
    P, _ = cv2.getOptimalNewCameraMatrix(K, np.array(BARREL), size, 0.0)
    out = Rectifier()(np.zeros((H, W, 3), np.uint8), info(K, (H, W), d=BARREL, P=P))
    np.testing.assert_allclose(out.K[:2, 2], P[:2, 2] + 0.5)
    np.testing.assert_allclose(np.diag(out.K), np.diag(P))
    # One that keeps every pixel of the original has black corners: not taken.
    P, _ = cv2.getOptimalNewCameraMatrix(K, np.array(BARREL), size, 1.0)
    out = Rectifier()(np.full((H, W, 3), 9, np.uint8), info(K, (H, W), d=BARREL, P=P))
    assert out.image[1:-1, 1:-1].min() >= 8 and not np.isclose(out.K[0, 0], P[0, 0])
    # Nor one that was made for a turned image, which would not be in the camera's frame.
    R = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))[0]
    turned = Rectifier()(np.zeros((H, W, 3), np.uint8), info(K, (H, W), d=BARREL, P=K * 1.0, R=R))
    assert np.array_equal(turned.R_optical_image, np.eye(3))


def test_a_fisheye_beyond_half_a_sphere_is_cut_to_what_a_pinhole_can_show() -> None:
    k = np.array([[150.0, 0, 240], [0, 150, 180], [0, 0, 1]])  # 92° to the left edge
    camera = camera_from_message(info(k, (H, W), d=(0, 0, 0, 0), model="equidistant"), (H, W))
    K_rect = rectified_intrinsics(camera)
    corner = np.linalg.norm((np.array([W, H]) - K_rect[:2, 2]) / np.diag(K_rect)[:2])
    assert np.rad2deg(np.arctan(corner)) == pytest.approx(60, abs=0.5)


def test_without_distortion_the_picture_itself_comes_back() -> None:
    image = np.zeros((H, W, 3), np.uint8)
    for model, d in (("plumb_bob", (0.0,) * 5), ("", ()), ("rational_polynomial", (0.0,) * 8)):
        out = Rectifier()(image, info(K, (H, W), d=d, model=model, P=K * 2.0))
        assert out.image is image and out.K[0, 0] == K[0, 0] and out.K[0, 2] == K[0, 2] + 0.5


def test_rectified_pictures_use_p_and_its_rotation() -> None:
    R = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
    P = np.array([[380.0, 0, 240], [0, 380, 180], [0, 0, 1]])
    image = np.zeros((H, W, 3), np.uint8)
    out = Rectifier(rectified=True)(image, info(K, (H, W), d=BARREL, P=P, R=R))
    assert out.image is image
    np.testing.assert_allclose(out.K, [[380, 0, 240.5], [0, 380, 180.5], [0, 0, 1]])
    np.testing.assert_allclose(out.R_optical_image, R.T)  # R turns the camera's frame into the rectified one


def test_a_p_that_is_no_camera_matters_only_where_it_must_be_used() -> None:
    message = info(K, (H, W), d=BARREL, P=np.full((3, 3), np.inf))
    assert np.isfinite(Rectifier()(np.zeros((H, W, 3), np.uint8), message).K).all()
    with pytest.raises(MessageError, match="matrix p"):
        Rectifier(rectified=True)(np.zeros((H, W, 3), np.uint8), message)


def test_maps_are_computed_anew_only_when_the_camera_changes() -> None:
    rectifier, image = Rectifier(), np.zeros((H, W, 3), np.uint8)
    for ns in range(1, 5):
        rectifier(image, info(K, (H, W), d=BARREL, ns=ns))
    assert rectifier.computed == 1
    first = rectifier(image, info(K, (H, W), d=BARREL)).K
    second = rectifier(image, info(1.1 * K + np.diag([0, 0, -0.1]), (H, W), d=BARREL)).K
    assert rectifier.computed == 2 and not np.allclose(first, second)
    with pytest.raises(MessageError):
        rectifier(image, info(K, (H, W), d=BARREL, model="who_knows"))
    assert np.array_equal(rectifier(image, info(K, (H, W), d=BARREL)).K, first)


@pytest.mark.parametrize("binning", [1, 2])
def test_region_of_interest_and_binning_move_points_as_they_move_pixels(binning: int) -> None:
    x, y, w, h = 60, 40, 320, 240
    full = blobs(np.array([[200.0, 150.0], [140.0, 220.0]]))
    part = full[y : y + h, x : x + w].astype(float)
    part = part.reshape(h // binning, binning, w // binning, binning, 3).mean(axis=(1, 3)).astype(np.uint8)
    message = info(K, (H, W), roi=(x, y, w, h), binning=(binning, binning))
    camera = camera_from_message(message, part.shape[:2])
    for pixel in ([200.0, 150.0], [140.0, 220.0]):
        ray = (np.array(pixel) - K[:2, 2]) / np.diag(K)[:2]
        expected = camera.K[:2, :2] @ ray + camera.K[:2, 2]
        np.testing.assert_allclose(centre(part, expected), expected, atol=0.05)


def test_a_region_of_a_distorted_camera_is_rectified_about_the_same_axis() -> None:
    x, y, w, h = 80, 60, 320, 240
    message = info(K, (H, W), d=BARREL, roi=(x, y, w, h))
    camera = camera_from_message(message, (h, w))
    K_rect = rectified_intrinsics(camera)
    target = np.array([[100.0, 80.0], [250.0, 180.0]])
    rays = np.concatenate([(target - K_rect[:2, 2]) / np.diag(K_rect)[:2], np.ones((2, 1))], axis=1)
    full = blobs(seen(rays, K, "plumb_bob", BARREL))
    out = Rectifier()(np.ascontiguousarray(full[y : y + h, x : x + w]), message)
    for p in target:
        assert np.linalg.norm(centre(out.image, p) - p) < 0.25


def test_another_size_is_refused_unless_scaling_is_allowed() -> None:
    message = info(K, (H, W))
    with pytest.raises(MessageError, match="camera_info_scaling") as caught:
        camera_from_message(message, (H // 2, W // 2))
    assert caught.value.reason == "camera_info_size"
    half = camera_from_message(message, (H // 2, W // 2), scaling=True)
    np.testing.assert_allclose(half.K[:2, 2], (K[:2, 2] + 0.5) / 2)
    np.testing.assert_allclose(np.diag(half.K)[:2], np.diag(K)[:2] / 2)
    with pytest.raises(MessageError, match="same shape"):
        camera_from_message(message, (H // 2, W), scaling=True)
    with pytest.raises(MessageError, match="region"):
        camera_from_message(info(K, (H, W), roi=(300, 0, 300, 100)), (100, 300))
    with pytest.raises(MessageError):
        camera_from_message(info(K, (0, 0)), (H, W))


def bad(**changes: float) -> np.ndarray:
    k = K.copy()
    for place, value in changes.items():
        k[int(place[1]), int(place[2])] = value
    return k


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (info(np.zeros((3, 3)), (H, W)), "camera_info"),
        (info(np.full((3, 3), np.nan), (H, W)), "camera_info"),
        (info(bad(k00=-400.0), (H, W)), "camera_info"),
        (info(bad(k00=1e9), (H, W)), "camera_info"),
        (info(bad(k11=0.4), (H, W)), "camera_info"),
        (info(bad(k02=1e6), (H, W)), "camera_info"),
        (info(bad(k01=30.0), (H, W)), "camera_info"),
        (info(bad(k22=0.0), (H, W)), "camera_info"),
        (info(K, (H, W), R=np.full((3, 3), 0.5)), "camera_info"),
        (info(K, (H, W), d=(np.nan, 0, 0, 0, 0)), "camera_info"),
        (info(K, (H, W), d=(0.1, 0.0)), "camera_model"),
        (info(K, (H, W), d=(0.1,) * 4, model="double_sphere"), "camera_model"),
        (info(K, (H, W), d=(0.1,) * 4, model="pinhole"), "camera_model"),
        (info(K, (H, W), d=(), model="fisheye"), "camera_model"),
        (info(K, (H, W), d=(0.0,) * 4, model="omnidirectional"), "camera_model"),
        (info(K, (H, W), d=(1e7, -1e9, 0, 0, 1e9)), "camera_model"),
    ],
)
def test_what_is_no_camera_is_refused_by_reason(message, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MessageError) as caught:
        Rectifier()(np.zeros((H, W, 3), np.uint8), message)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("said", "d", "meant"),
    [
        ("none", (), ""),
        ("none", (0.0,) * 5, ""),
        ("pinhole", (), ""),
        ("Perspective", (0.0,) * 4, ""),
        ("fisheye", FISHEYE, "equidistant"),
        ("kannala_brandt4", FISHEYE, "equidistant"),
        ("radtan", BARREL[:4], "plumb_bob"),
    ],
)
def test_distortion_models_are_understood_by_their_other_names(
    said: str, d: tuple[float, ...], meant: str
) -> None:
    camera = camera_from_message(info(K, (H, W), d=d, model=said), (H, W))
    assert (camera.model, camera.d) == (meant, d if meant else ())


def test_a_distortion_model_that_a_driver_leaves_wrong_is_overridden() -> None:
    message = info(K, (H, W), d=FISHEYE, model="pinhole")
    with pytest.raises(MessageError, match="set distortion_model"):
        camera_from_message(message, (H, W))
    right = info(K, (H, W), d=FISHEYE, model="equidistant")
    image = blobs(np.array([[60.0, 50.0], [400.0, 300.0]]))
    out = Rectifier(model="equidistant")(image, message)
    assert np.array_equal(out.image, Rectifier()(image, right).image)
    plain = Rectifier(model="none")(image, message)
    assert np.array_equal(plain.image, image) and plain.K[0, 0] == K[0, 0]


@pytest.mark.parametrize(
    ("x", "y", "roi", "doubtful"),
    [
        (0.25, 0.25, (0, 0, 0, 0), True),  # the calibration of an image of half the size
        (0.5, 0.75, (0, 0, 0, 0), True),
        (0.55, 0.42, (0, 0, 0, 0), False),
        (0.25, 0.25, (10, 10, 400, 300), False),
    ],
)
def test_a_principal_point_far_from_the_middle_is_doubted_and_used(
    x: float, y: float, roi: tuple[int, int, int, int], doubtful: bool
) -> None:
    size = (roi[3], roi[2]) if roi[2] else (H, W)
    k = np.array([[400.0, 0, x * W], [0, 400, y * H], [0, 0, 1]])
    for rectified in (False, True):
        out = Rectifier(rectified=rectified)(np.zeros((*size, 3), np.uint8), info(k, (H, W), P=k, roi=roi))
        assert out.K[0, 0] == 400.0
        assert ("principal point" in out.doubt) == doubtful
