"""Facts of a model that the evaluator of a fleet needs, read without loading weights."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.paths import model_path
from rsdfm_ros.model.config import ModelConfigError, load_model_config, model_config_from_dict
from rsdfm_ros.model.manifest import ManifestError, ModelStoreError, read_manifest
from rsdfm_ros.model.thresholds import DEFAULT_THRESHOLDS, thresholds_of


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model that the evaluator needs: the area it answers on, m, and its threshold in whole per cents."""

    bounds_m: tuple[float, float, float, float]
    cell_size_m: float
    foreground_percent: int


def model_facts(model: str) -> ModelFacts:
    """Read from the model's manifest, without loading weights. Raises: FleetDescriptionError."""
    threshold, model = DEFAULT_THRESHOLDS["segmentation"], model_path(model)
    if model.startswith("random:"):
        config = load_model_config(model.split(":")[1])
    else:
        try:
            values = read_manifest(model)
            config = model_config_from_dict(values["config"])
            threshold = float(thresholds_of(values)["segmentation"])
        except (ManifestError, ModelConfigError) as error:
            raise FleetDescriptionError(f"model {model!r}: its manifest.yaml is damaged: {error}") from error
        except ModelStoreError as error:
            raise FleetDescriptionError(str(error)) from error
    window = config.output_window
    return ModelFacts(window.bounds, window.cell_size, round(100 * threshold))
