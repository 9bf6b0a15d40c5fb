"""One kind of registry for all that can be chosen by name: criteria, models, datasets, repairs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from prunevis.errors import SpecError, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from names to entries that only grows, by `register`.

    Parameters
    ----------
    kind
        What an entry is, in the singular, for messages: "criterion", "model".
    problem
        Looks at what is to be filed and returns why it cannot be, one sentence, or None. None:
        anything can.

    Examples
    --------
    >>> NUMBERS = Registry("number")
    >>> @NUMBERS.register("one")
    ... def one():
    ...     return 1
    >>> NUMBERS["one"]()
    1
    """

    def __init__(self, kind: str, problem: Callable[[object], str | None] | None = None) -> None:
        self.kind = kind
        self._problem = problem
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`.

        Raises
        ------
        SpecError
            If `name` is taken or is not a plain, lower-case name, or what is filed is no entry.
        """
        if not isinstance(name, str) or not name or name != name.strip().lower():
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
            reason = self._problem(entry) if self._problem is not None else None
            if reason is not None:
                raise SpecError(f"{reason} It is not filed as the {self.kind} {name!r}.")
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


def metadata_problem(
    entry: Any, choices: Mapping[str, tuple[str, ...]], flags: Iterable[str] = ()
) -> str | None:
    """Return what is wrong with the attributes that describe an entry, one sentence, or None.

    Parameters
    ----------
    entry
        A class, or an instance of one, with `label`, `summary`, `formula`, `source` and `url`.
    choices
        By name of an attribute that holds several words: those that it may hold.
    flags
        Names of attributes that are True or False.
    """
    title = (entry if isinstance(entry, type) else type(entry)).__name__
    for name in ("label", "summary", "formula", "source", "url"):
        value = getattr(entry, name, None)
        if not isinstance(value, str) or not value.strip():
            return f"{title}.{name} must be a text that is not empty, got {value!r}."
    if not entry.summary.endswith("."):
        return (
            f"{title}.summary must be a sentence that ends in a full stop, got {entry.summary!r}."
        )
    if not entry.url.startswith(("https://", "http://")):
        return f"{title}.url must be an address of a page, got {entry.url!r}."
    for name in flags:
        value = getattr(entry, name, None)
        if not isinstance(value, bool):
            return f"{title}.{name} must be True or False, got {value!r}."
    for name, allowed in choices.items():
        values = getattr(entry, name, None)
        if not isinstance(values, (tuple, set, frozenset)) or not set(values) <= set(allowed):
            return f"{title}.{name} may only hold {allowed}, got {values!r}."
    if not entry.granularities:
        return f"{title}.granularities is empty: it could never be chosen."
    return None


def method_problem(entry: type, missing: bool, method: str) -> str | None:
    """Return why a class cannot be used as it is, one sentence, or None.

    Parameters
    ----------
    entry
        The class; made here once, as it will be, without arguments.
    missing
        Whether it lacks the method that it is for.
    method
        Name of that.
    """
    if missing:
        return f"{entry.__name__} does not define {method}()."
    try:
        entry()
    except Exception as error:
        return f"{entry.__name__}() cannot be made: {type(error).__name__}: {error}."
    return None
