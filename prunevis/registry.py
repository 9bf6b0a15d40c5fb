"""One kind of registry for all that can be chosen by name: criteria, models, datasets, repairs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from prunevis.errors import SpecError, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from names to entries that only grows, by `register`.

    Parameters
    ----------
    kind
        What an entry is, in the singular, for messages: "criterion", "model".

    Examples
    --------
    >>> NUMBERS = Registry("number")
    >>> @NUMBERS.register("one")
    ... def one():
    ...     return 1
    >>> NUMBERS["one"]()
    1
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`.

        Raises
        ------
        SpecError
            If `name` is taken or is not a plain, lower-case name.
        """
        if not name or name != name.strip().lower():
            raise SpecError(
                f"{name!r} is not a name for a {self.kind}.",
                expected="lower case without surrounding spaces",
            )

        def add(entry: T) -> T:
            if name in self._entries:
                raise SpecError(
                    f"There is already a {self.kind} called {name!r}.",
                    fix="Choose another name; entries are never replaced.",
                )
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            near = difflib.get_close_matches(str(name), self._entries, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise UnknownNameError(
                f"There is no {self.kind} called {name!r}.",
                fix=f"{hint}There are: {', '.join(self._entries) or 'none yet'}.",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{self.kind} registry: {', '.join(self._entries)}>"
