"""What one visitor of a served page may use, read in one place from the environment.

`prunevis serve` sets these variables for its kernels; a page served by Voila alone may set them
itself: ``PRUNEVIS_IMAGES``, ``PRUNEVIS_EPOCHS``, ``PRUNEVIS_MINUTES``, ``PRUNEVIS_MEMORY``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from prunevis.errors import SpecError

#: Field of `Limits` -> the variable that it is read from.
VARIABLES = {
    "images": "PRUNEVIS_IMAGES",
    "epochs": "PRUNEVIS_EPOCHS",
    "minutes": "PRUNEVIS_MINUTES",
    "memory_mb": "PRUNEVIS_MEMORY",
}


@dataclass(frozen=True)
class Limits:
    """What one visitor may use; None: as much as there is.

    Attributes
    ----------
    images
        Test images that accuracy is measured on, at least 1.
    epochs
        Epochs of one training, at least 1.
    minutes
        Minutes that one training may take, at least 1.
    memory_mb
        Memory that is the kernel's alone (unique set size), in MB of 10⁶ bytes, at least 1.
    """

    images: int | None = None
    epochs: int | None = None
    minutes: int | None = None
    memory_mb: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Limits:
        """Read the limits; a variable that is not set, or empty, or 0, limits nothing.

        Raises
        ------
        SpecError
            If a variable is no whole number from 0.
        """
        environ = os.environ if environ is None else environ
        return cls(**{name: _number(key, environ) for name, key in VARIABLES.items()})

    def as_environment(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads these limits from."""
        return {key: str(getattr(self, name) or 0) for name, key in VARIABLES.items()}

    def in_words(self) -> str:
        """Return the limits as one sentence for the visitor, or "" where nothing is limited."""
        parts = []
        if self.images:
            parts.append(f"accuracy on up to {self.images:,} images")
        if self.epochs or self.minutes:
            amounts = [f"{self.epochs} epoch{'s' * (self.epochs > 1)}"] if self.epochs else []
            amounts += [f"{self.minutes} minute{'s' * (self.minutes > 1)}"] if self.minutes else []
            parts.append(f"trainings of up to {' or '.join(amounts)}")
        if self.memory_mb:
            parts.append(f"{self.memory_mb:,} MB of memory")
        if not parts:
            return ""
        *most, last = parts
        return f"For each visitor: {', '.join(most)}{' and ' if most else ''}{last}."


def _number(variable: str, environ: Mapping[str, str]) -> int | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise SpecError(
            f"The environment variable {variable} is not a number.",
            expected="a whole number, or 0 for no limit",
            got=repr(text[:40]),
        )
    return int(text) or None
