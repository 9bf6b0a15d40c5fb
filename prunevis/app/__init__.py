"""The page in a notebook (`explore`) and on its own (`prunevis demo`).

Names are loaded when they are first used: the process that serves the page needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer, explore, served_page
    from prunevis.app.outcome import report

__all__ = ["Explorer", "explore", "report", "served_page"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "outcome" if name == "report" else "explorer"
        return getattr(import_module(f"prunevis.app.{home}"), name)
    raise AttributeError(f"module 'prunevis.app' has no attribute {name!r}")
