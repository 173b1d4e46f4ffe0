"""Data sets in the nuScenes schema, our own and public ones: read, written and merged.

Start with :func:`open_dataset`, which returns a :class:`Dataset`, and :class:`SceneWriter`.
"""

from rsdfm_ros.data.description import Description, DescriptionError
from rsdfm_ros.data.errors import DatasetError, MissingFileError, ParameterMismatchError, TableError
from rsdfm_ros.data.nuscenes.merge import merge
from rsdfm_ros.data.nuscenes.reader import Dataset, open_dataset
from rsdfm_ros.data.nuscenes.scenes import SceneInfo
from rsdfm_ros.data.nuscenes.writer import SceneWriter, write_scene

__all__ = [
    "Dataset",
    "DatasetError",
    "Description",
    "DescriptionError",
    "MissingFileError",
    "ParameterMismatchError",
    "SceneInfo",
    "SceneWriter",
    "TableError",
    "merge",
    "open_dataset",
    "write_scene",
]
