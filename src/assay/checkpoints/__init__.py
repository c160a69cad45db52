"""Model folders: a model's source, its conversions and its weights, written whole and loaded strictly."""

from assay.checkpoints.conversions.registry import Conversion, apply_conversions
from assay.checkpoints.folder import ModelFolder, read_folder
from assay.checkpoints.loading import load_model
from assay.checkpoints.writing import write_folder

__all__ = ["Conversion", "ModelFolder", "apply_conversions", "load_model", "read_folder", "write_folder"]
