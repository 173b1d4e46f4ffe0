"""RS-DFM: collaborative perception of several UAVs, online, on ROS 2."""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
__version__ = "0.1.0"
