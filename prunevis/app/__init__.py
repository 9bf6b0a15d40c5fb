"""The page in a notebook (`explore`) and on its own (`prunevis demo`)."""

from prunevis.app.explorer import Explorer, explore, served_page

__all__ = ["Explorer", "explore", "served_page"]
