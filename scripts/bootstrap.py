"""Set rsdfm_ros up on this machine: system packages, virtual environment, pinned requirements, messages.

Run by `make setup`. Every step is skipped when its inputs have not changed since it last succeeded; nothing outside
this folder is touched except by apt. Written for any Python 3, so that an unsupported one can be refused in words.
"""

import glob
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time

from system_packages import missing_optional_packages, missing_packages, provide, provide_optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(ROOT, "log", "setup.log")
BUILD_LOG = os.path.join(ROOT, "log", "latest_build", "rsdfm_ros", "stdout.log")
LOOK_S, SAY_S = 1.0, 30.0
"""Time between two looks at a running command, and between two lines about it where there is no terminal."""
REQUIREMENTS = ("requirements/core.txt", "requirements/ros.txt", "requirements/dev.txt")
NO_DEPS = "requirements/nodeps.txt"
CONSTRAINTS = "requirements/constraints.txt"
SUPPORTED = ((3, 10), (3, 13))
PIP_OPTIONS = ["--no-input", "--disable-pip-version-check", "--retries", "10", "--progress-bar", "off"]


class SetupError(Exception):
    """One sentence that names the missing part and the remedy."""


def check_machine(version, machine, system):
    """Refuse a machine for which no wheels exist."""
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        raise SetupError(
            "ROS 2 wheels exist for Linux on x86-64 only and this is %s on %s: "
            "build rsdfm_ros in a ROS 2 workspace instead (README.md)" % (system, machine)
        )
    if not SUPPORTED[0] <= tuple(version) <= SUPPORTED[1]:
        raise SetupError(
            "Python %d.%d is not supported: rsdfm_ros needs 3.10 to 3.13, name one with `make setup PYTHON=python3.11`"
            % tuple(version)
        )


def find_supported_python():
    """Path of another Python on PATH that is supported, or None."""
    for minor in (12, 11, 13, 10):
        name = shutil.which("python3.%d" % minor)
        if name and version_of(name) == (3, minor):
            return name
    return None


def version_of(python):
    """(major, minor) of the Python that a command runs, None if it runs none."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = re.match(r"(\d+)\.(\d+)$", done.stdout.decode().strip())
    return tuple(map(int, found.groups())) if done.returncode == 0 and found else None


def check_named(python, version, made):
    """Refuse a Python that the user named and that is not what its name says, or not what .venv is made with.

    python: as in PYTHON=… · version: that of the Python that answered · made: that of .venv, None without one.
    """
    named = re.match(r"python(\d+)\.(\d+)$", os.path.basename(python))
    if named and tuple(map(int, named.groups())) != tuple(version):
        raise SetupError(
            "PYTHON=%s runs Python %d.%d, not the version of its name: install that version, or name another with "
            "`make setup PYTHON=…`" % (python, version[0], version[1])
        )
    if made and tuple(made) != tuple(version):
        raise SetupError(
            "PYTHON=%s is Python %d.%d and .venv is made with %d.%d: run `make clean` first, or leave PYTHON out"
            % (python, version[0], version[1], made[0], made[1])
        )


def digest(contents, names=()):
    """Hash of the contents of some files (relative to the root) and of the names of others."""
    state = hashlib.sha256()
    for path in sorted(contents):
        state.update(path.encode())
        with open(os.path.join(ROOT, path), "rb") as stream:
            state.update(stream.read())
    for path in sorted(names):
        state.update(path.encode())
    return state.hexdigest()


def relative(pattern):
    """Files below the root that match a glob pattern, without caches."""
    found = glob.glob(os.path.join(ROOT, pattern), recursive=True)
    return [os.path.relpath(p, ROOT) for p in found if os.path.isfile(p) and "__pycache__" not in p]


def run(arguments, environment=None, progress=None):
    """Run a command with its output in the log; SetupError with the last lines when it fails.

    progress: makes words about how far it is of the output so far; they are shown meanwhile.
    """
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    with open(LOG, "ab") as log:
        log.write(("\n$ " + " ".join(arguments) + "\n").encode())
        log.flush()
        start = log.tell()

        def words():
            with open(LOG, "rb") as so_far:
                so_far.seek(start)
                return progress(so_far.read().decode(errors="replace"))

        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            status = watched(process, words if progress else None)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if status:
        with open(LOG, "rb") as log:
            log.seek(start)
            tail = log.read().decode(errors="replace").splitlines()[-15:]
        raise SetupError(
            "`%s …` failed with status %d; its last lines (all of them: log/setup.log):\n  %s"
            % (" ".join(arguments[:4]), status, "\n  ".join(tail))
        )


def watched(process, words):
    """Wait for a process; its exit status. `words()` are shown meanwhile: in one line of a terminal, else sometimes."""
    terminal = sys.stdout.isatty()
    start = said = time.time()
    while True:
        try:
            status = process.wait(timeout=LOOK_S)
            break
        except subprocess.TimeoutExpired:
            now = time.time()
        if words is None or now - said < (LOOK_S if terminal else SAY_S):
            continue
        said, line = now, "setup:   %s, %.0f s" % (words(), now - start)
        sys.stdout.write("\r\033[K" + line if terminal else line + "\n")
        sys.stdout.flush()
    if terminal and words is not None:
        sys.stdout.write("\r\033[K")
        sys.stdout.flush()
    return status


def installed_so_far(text):
    """How far pip is, by its output."""
    installing = re.findall(r"^Installing collected packages: (.*)", text, re.MULTILINE)
    if installing:
        return "installing %d packages" % len(installing[-1].split(","))
    loading = re.findall(r"^ +Downloading (\S+).*?(\([\d.]+ [kMG]B\))?$", text, re.MULTILINE)
    found = "%d packages found" % len(re.findall(r"^Collecting ", text, re.MULTILINE))
    return "%s, downloading %s" % (found, " ".join(filter(None, loading[-1]))) if loading else found


def built_so_far(text):
    """How far the compiler is, by the output of make, which colcon keeps in a file of its own."""
    try:
        with open(BUILD_LOG, "rb") as log:
            shares = re.findall(rb"^\[ *(\d+)%\]", log.read(), re.MULTILINE)
    except OSError:
        shares = []
    return "%s %% compiled" % shares[-1].decode() if shares else "configuring"


def step(name, path, key, action):
    """Run `action` unless the file `path` holds `key`; prints the step and its duration."""
    if os.path.exists(path):
        with open(path) as stream:
            if stream.read() == key:
                return
    start = time.time()
    print("setup: %s …" % name, flush=True)
    action()
    with open(path, "w") as stream:
        stream.write(key)
    print("setup: %s done in %.0f s" % (name, time.time() - start), flush=True)


def make_environment():
    """Create .venv with this Python unless a usable one exists."""
    usable = "import sys, pip; sys.exit(not %r <= sys.version_info[:2] <= %r)" % SUPPORTED
    if os.path.exists(PYTHON) and subprocess.call([PYTHON, "-c", usable], stderr=subprocess.DEVNULL) == 0:
        return
    for built in ("build", "install"):  # made with another Python
        shutil.rmtree(os.path.join(ROOT, built), ignore_errors=True)
    run([sys.executable, "-m", "venv", "--clear", VENV])


def install_requirements():
    """Install the pinned requirements and point the ROS wheels' CMake exports at this environment."""
    files = [a for name in REQUIREMENTS for a in ("-r", name)]
    # Through the environment the pins also hold for the tools that pip builds source packages with.
    environment = dict(os.environ, PIP_CONSTRAINT=os.path.join(ROOT, CONSTRAINTS))
    run([PYTHON, "-m", "pip", "install", *PIP_OPTIONS, *files], environment, installed_so_far)
    run([PYTHON, "-m", "pip", "install", "--no-deps", *PIP_OPTIONS, "-r", NO_DEPS], environment)
    run([PYTHON, "scripts/fix_cmake_exports.py"])


def build_package():
    """Generate and compile the messages, and lay the package out in install/."""
    environment = dict(os.environ, AMENT_PREFIX_PATH=VENV, CMAKE_PREFIX_PATH=VENV)
    # Its own MAKEFLAGS: colcon would otherwise hold compilers back while the machine is busy with anything else.
    jobs = "-j%d" % (os.cpu_count() or 1)
    environment.update(COLCON_HOME=os.path.join(ROOT, "log", "colcon"), VIRTUAL_ENV=VENV, MAKEFLAGS=jobs)
    environment["PATH"] = os.path.join(VENV, "bin") + os.pathsep + environment["PATH"]
    for name in ("PYTHONPATH", "PYTHONHOME", "COLCON_PREFIX_PATH"):
        environment.pop(name, None)
    build = [PYTHON, "-m", "colcon", "--log-base", "log", "build", "--symlink-install", "--base-paths", "."]
    run(
        [*build, "--cmake-args", "-DBUILD_TESTING=OFF", "-DPython3_EXECUTABLE=" + PYTHON],
        environment,
        built_so_far,
    )


def offer_optional_packages():
    """Install optional packages of some tests, or name them; once, and never an error."""
    packages = missing_optional_packages()
    if not packages:
        return

    def provide_them():
        told = provide_optional(packages, run)
        if told:
            print("setup: %s" % told, flush=True)

    stamp = os.path.join(VENV, "optional.stamp")
    step("optional system packages: " + " ".join(packages), stamp, " ".join(packages), provide_them)


def choose_python(version, named):
    """The path of the Python to continue with, None for the present one, of this version.

    named: what the user gave as PYTHON=…, None for the default, which alone is replaced where it is not supported.
    """
    if named:
        check_named(named, version, version_of(PYTHON) if os.path.exists(PYTHON) else None)
        return None
    if SUPPORTED[0] <= tuple(version) <= SUPPORTED[1]:
        return None
    other = find_supported_python()
    if other:
        print(
            "setup: python3 is Python %d.%d, which is not supported: %s is used" % (*version, other),
            flush=True,
        )
    return other


def main(named=None):
    """Bring everything up to date; returns the exit status. named: the Python that the user asked for."""
    try:
        version = sys.version_info[:2]
        other = choose_python(version, named)
        if other:
            os.execv(other, [other, *sys.argv])
        check_machine(version, platform.machine(), platform.system())
        packages = missing_packages()
        if packages:
            print("setup: system packages: %s …" % " ".join(packages), flush=True)
            problem = provide(packages, run)
            if problem:
                raise SetupError(problem)
        make_environment()
        offer_optional_packages()
        requirements = digest((*REQUIREMENTS, NO_DEPS, CONSTRAINTS, "scripts/fix_cmake_exports.py"))
        stamp = os.path.join(VENV, "requirements.stamp")
        step("Python packages (some minutes when not cached)", stamp, requirements, install_requirements)
        sources = [*relative("msg/*.msg"), "CMakeLists.txt", "package.xml", "scripts/executable.py.in"]
        folders = ("launch", "config", "models", "src")
        installed = [name for folder in folders for name in relative(folder + "/**/*")]
        stamp = os.path.join(ROOT, "install", "build.stamp")
        step("messages", stamp, digest(sources, [*installed, requirements]), build_package)
        print("setup: everything is in place")
        return 0
    except SetupError as error:
        print("error: %s" % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; run `make setup` again to continue", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
