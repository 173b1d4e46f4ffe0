"""List the system packages that rsdfm_ros needs and this machine lacks. Written for any Python 3."""

import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig

CMAKE_MINIMUM = (3, 20)


def _has_library(name):
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _has_cmake():
    if not shutil.which("cmake"):
        return False
    text = subprocess.check_output(["cmake", "--version"]).decode(errors="replace")
    match = re.search(r"(\d+)\.(\d+)", text)
    return bool(match) and (int(match.group(1)), int(match.group(2))) >= CMAKE_MINIMUM


def _has_venv():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def _has_mesa_driver():
    patterns = (
        "/usr/lib*/dri/*_dri.so",
        "/usr/lib*/*/dri/*_dri.so",
        "/usr/lib*/*/libgallium*.so",
        "/usr/lib*/libgallium*.so",
    )
    return any(glob.glob(pattern) for pattern in patterns)


def _python(kind):
    return "python%d.%d-%s" % (sys.version_info[0], sys.version_info[1], kind)


def missing_packages():
    """Names of the Debian/Ubuntu packages for the missing parts, in installation order."""
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    checks = [
        ("cmake", _has_cmake()),
        ("g++", bool(shutil.which("c++") or shutil.which("g++"))),
        ("make", bool(shutil.which("make"))),
        (_python("venv"), _has_venv()),
        (_python("dev"), os.path.exists(header)),
        # MuJoCo renders without a display through EGL on Mesa's software driver.
        ("libegl1", _has_library("libEGL.so.1")),
        ("libgl1-mesa-dri", _has_mesa_driver()),
        ("libopengl0", _has_library("libOpenGL.so.0")),
        # OpenCV loads these.
        ("libgl1", _has_library("libGL.so.1")),
        ("libglib2.0-0", _has_library("libgthread-2.0.so.0")),
    ]
    return [name for name, present in checks if not present]


def _has_sdf_checker():
    """Gazebo's `gz sdf`, or Debian's `ign sdf`, whose command file comes with libsdformat-dev."""
    return bool(
        shutil.which("gz") or (shutil.which("ign") and glob.glob("/usr/share/ignition/sdformat*.yaml"))
    )


def missing_optional_packages():
    """Names of packages without which everything works, but some tests are skipped."""
    if _has_sdf_checker():
        return []
    return ["ignition-tools", "libsdformat-dev", "sdformat-sdf"]


def provide_optional(packages, run):
    """Try to install `packages` as `provide` does; returns a sentence when they are not there afterwards."""
    told = "optional, for the tests of the Gazebo world only: %s" % ", ".join(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return "%s\n  %s" % (told, install_line(packages))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        run(["apt-get", "-o", "Acquire::Retries=1", "update"], environment)
        run(["apt-get", "install", "-y", "--no-install-recommends", *packages], environment)
    except Exception as error:  # on any error: nothing depends on these packages
        return "%s: cannot be installed here (%s)" % (told, str(error).splitlines()[0])
    return None


def install_line(packages):
    """The line to type, for a person."""
    return "sudo apt-get update && sudo apt-get install -y --no-install-recommends " + " ".join(packages)


def provide(packages, run):
    """Install `packages` with apt when root, by `run(arguments, environment)`; returns the remaining steps."""
    if not shutil.which("apt-get"):
        return (
            "this machine lacks %s (Debian names) and has no apt-get: install them and try again"
            % ", ".join(packages)
        )
    if os.geteuid() != 0:
        return "system packages are missing; type:\n  %s" % install_line(packages)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run(["apt-get", "-o", "Acquire::Retries=3", "update"], environment)
    run(
        ["apt-get", "-o", "Acquire::Retries=3", "install", "-y", "--no-install-recommends", *packages],
        environment,
    )
    left = missing_packages()
    return (
        "apt-get installed %s but still missing: %s" % (" ".join(packages), " ".join(left)) if left else None
    )
