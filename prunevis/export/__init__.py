"""What a person takes home: files, code and a report, none of which need a pickle to be read."""

from prunevis.export.programs import Program, save_onnx, save_program
from prunevis.export.saving import load, save
from prunevis.export.states import save_state

__all__ = ["Program", "load", "save", "save_onnx", "save_program", "save_state"]
