"""One observable state, one worker thread, and the use cases between them."""

from prunevis.session.controller import Controller
from prunevis.session.jobs import Worker
from prunevis.session.recipe import Recipe, RecipeStep
from prunevis.session.state import Session, Setting, View

__all__ = ["Controller", "Recipe", "RecipeStep", "Session", "Setting", "View", "Worker"]
