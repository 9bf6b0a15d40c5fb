"""The page in a notebook (`explore`) and on its own (`prunevis demo`).

Names are loaded when they are first used: the process that serves the page needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunevis.app.explorer import Explorer, explore, served_page

__all__ = ["Explorer", "explore", "served_page"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from prunevis.app import explorer

        return getattr(explorer, name)
    raise AttributeError(f"module 'prunevis.app' has no attribute {name!r}")
