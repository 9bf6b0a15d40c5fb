"""What a person takes home: files, code and a report, none of which need a pickle to be read."""

from prunevis.export.saving import load, save

__all__ = ["load", "save"]
