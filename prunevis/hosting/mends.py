"""What Voila 0.5 leaves open and no setting closes: each by replacing one thing of it.

* Kernels end with their tabs: the factory of kernel managers is wrapped, see
  `prunevis.hosting.pool`.
* What Voila remembers of every request for a notebook that asks for it (none does here) was never
  forgotten (voila#1189): it is not remembered.

`mend` says what could not be closed in the version that is installed, for the log. Handlers are
replaced in `prunevis.hosting.handlers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prunevis.hosting.pool import manager_factory
from prunevis.hosting.settings import Settings

#: The versions that all this was tried with; another is said in the log.
TRIED = "0.5."


def mend(settings: Settings) -> list[str]:
    """Close the gaps named above; return what could not be closed, in words."""
    from voila import __version__

    missing: list[str] = []
    if not __version__.startswith(TRIED):
        missing.append(f"Voila {__version__} is not one that this was tried with ({TRIED}x)")
    mends: tuple[tuple[str, Callable[[Settings], None]], ...] = (
        ("kernels end with their tabs", _end_with_tabs),
        ("requests are forgotten", _forget_requests),
    )
    for what, how in mends:
        try:
            how(settings)
        except (ImportError, AttributeError) as error:
            missing.append(f"{what}: {error}")
    return missing


def _end_with_tabs(settings: Settings) -> None:
    import voila.app
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    MappingKernelManager.cull_kernel_if_idle  # noqa: B018 - it must be there to be overridden
    voila.app.voila_kernel_manager_factory = manager_factory(
        voila.app.voila_kernel_manager_factory, settings
    )


def _forget_requests(settings: Settings) -> None:
    from voila import request_info_handler

    handler: Any = request_info_handler.RequestInfoSocketHandler
    handler.send_updates  # noqa: B018 - it must be there, or the handler has changed
    handler.send_updates = classmethod(lambda cls, msg: None)
