"""Pages in many processes on one machine take turns with what can wait.

Twenty pages that each fill in a curve keep every core busy, and a hand on any slider waits for its
share. So a step of such work needs one of a few places, each a lock on a file that the pages share;
one core is left to what hands wait for. ``PRUNEVIS_TURNS`` names the folder of the files; without
it, or where files cannot be locked so, nobody waits.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None

VARIABLE = "PRUNEVIS_TURNS"
#: Shortest and longest seconds until it is asked again; different, so that nobody is always late.
AGAIN = (0.02, 0.06)


class Turns:
    """The places of one machine.

    Parameters
    ----------
    folder
        Where the files are; None: there is always a place.
    places
        How many may work at a time; by default one fewer than there are cores, at least 1.
    """

    def __init__(self, folder: Path | None, places: int | None = None) -> None:
        self._folder = folder if fcntl is not None else None
        self._count = places or max(1, (os.cpu_count() or 1) - 1)
        self._files: list[IO[bytes]] = []
        self._taken: IO[bytes] | None = None

    @classmethod
    def from_environment(cls) -> Turns:
        """Return the places that whoever serves the page has set."""
        folder = os.environ.get(VARIABLE, "")
        return cls(Path(folder) if folder else None)

    def take(self) -> bool:
        """Take a place if one is free; `give_back` it soon."""
        if self._folder is None or fcntl is None:
            return True
        try:
            if not self._files:
                names = [self._folder / f"turn-{k}" for k in range(self._count)]
                self._files = [name.open("ab") for name in names]
        except OSError:
            # the folder is gone, and the server with it
            self._folder = None
            return True
        for file in self._files:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._taken = file
                return True
        return False

    def give_back(self) -> None:
        """Let another have the place, if one was taken."""
        if self._taken is not None and fcntl is not None:
            fcntl.flock(self._taken, fcntl.LOCK_UN)
        self._taken = None

    def again(self) -> float:
        """Return the seconds after which to ask again."""
        return random.uniform(*AGAIN)
