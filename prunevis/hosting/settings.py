"""What whoever serves the page can choose, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from prunevis.errors import SpecError

#: An origin as browsers send it: scheme, host, and a port unless it is the usual one.
ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
BASE = re.compile(r"/([A-Za-z0-9_~\-][A-Za-z0-9._~\-]*/)*")


@dataclass(frozen=True)
class Settings:
    """How the page is served.

    Parameters
    ----------
    host, port
        Where to listen.
    base_url
        The path that the page is found under; slashes at both ends are added.
    warm
        Kernels that wait for visitors, 0 or more.
    visitors
        Visitors at the same time; further ones wait. 0: no cap.
    cull
        Seconds after which a kernel without a tab is ended, at least 2.
    idle
        Seconds after which a kernel is ended whose tab nobody used; 0: never.
    embed
        Origins whose pages may show this one in a frame, e.g. "https://course.example.org"; "*"
        for any.
    origins
        Origins besides its own that the page may be reached under, as when a proxy does not pass
        on the host's name.
    strict_port
        Fail if `port` is taken, instead of taking another.
    kernels
        Environment variables for the kernels.
    fork
        Whether kernels are forked from one loaded process, where the system can: a longer start,
        then quicker and smaller kernels.
    access_log
        Whether each request is written to the log, without address or query.

    Raises
    ------
    SpecError
        If one of them cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 8866
    base_url: str = "/"
    warm: int = 1
    visitors: int = 0
    cull: int = 120
    idle: int = 0
    embed: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    strict_port: bool = False
    kernels: Mapping[str, str] = field(default_factory=dict)
    fork: bool = False
    access_log: bool = False

    def __post_init__(self) -> None:
        base = f"/{path}/" if (path := self.base_url.strip("/")) else "/"
        if not BASE.fullmatch(base):
            raise SpecError(
                "The base URL is not a path.",
                expected="letters, digits, and . _ ~ - between slashes, such as /prunevis/",
                got=repr(self.base_url),
            )
        object.__setattr__(self, "base_url", base)
        for name, lowest in (("warm", 0), ("visitors", 0), ("idle", 0), ("cull", 2), ("port", 1)):
            if getattr(self, name) < lowest:
                raise SpecError(
                    f"The page cannot be served with `{name}` = {getattr(self, name)}.",
                    expected=f"{lowest} or more",
                )
        for name in ("embed", "origins"):
            found = tuple(item.rstrip("/").lower() for item in getattr(self, name))
            object.__setattr__(self, name, found)
            for origin in found:
                if not ORIGIN.fullmatch(origin) and (name, origin) != ("embed", "*"):
                    raise SpecError(
                        f"This is not an origin: {origin[:80]!r}.",
                        expected="a scheme, a host and perhaps a port, as https://example.org",
                    )
