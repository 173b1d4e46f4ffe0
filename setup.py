"""`pip install .`: the core, the simulator, training and evaluation, without ROS.

The nodes need rclpy and the messages, which a ROS 2 workspace or `make setup` builds; without them every node and
`rsdfm fleet` say so in one sentence.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements() -> list[str]:
    """The lines of requirements/core.txt without comments."""
    lines = (HERE / "requirements" / "core.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def version() -> str:
    """The version, from the one place where Python finds it."""
    text = (HERE / "src" / "rsdfm_ros" / "__init__.py").read_text()
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match, "src/rsdfm_ros/__init__.py has no __version__"
    return match.group(1)


setup(
    name="rsdfm_ros",
    version=version(),
    description="Collaborative perception of several UAVs on a shared bird's-eye view, online, on ROS 2",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"rsdfm_ros.view.web": ["static/*"]},
    install_requires=requirements(),
    entry_points={"console_scripts": ["rsdfm = rsdfm_ros.cli:main"]},
)
