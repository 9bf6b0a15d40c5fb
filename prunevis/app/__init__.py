"""The page in a notebook (`explore`) and on its own (`prunevis demo`).

Names are loaded when they are first used: the process that serves the page needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer, explore
    from prunevis.app.outcome import report
    from prunevis.app.replay import Replayed, replay
    from prunevis.app.served import served_page

__all__ = ["Explorer", "Replayed", "explore", "replay", "report", "served_page"]

#: Names that do not stand in `explorer` -> where they do.
_ELSEWHERE = {
    "report": "outcome",
    "Replayed": "replay",
    "replay": "replay",
    "served_page": "served",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = _ELSEWHERE.get(name, "explorer")
        return getattr(import_module(f"prunevis.app.{home}"), name)
    raise AttributeError(f"module 'prunevis.app' has no attribute {name!r}")
