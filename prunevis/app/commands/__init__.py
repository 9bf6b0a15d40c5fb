"""The subcommands of `prunevis`, one file each.

A file has two functions: ``add(commands)`` files the subcommand and its options and sets ``run`` as
its default, ``run(args) -> int`` does the work and returns the exit status. What takes long to
import is imported inside ``run``. A new one is added to `ALL`.
"""

from types import ModuleType

from prunevis.app.commands import demo, reproduce, serve, sweep

#: In the order of the help.
ALL: tuple[ModuleType, ...] = (demo, serve, reproduce, sweep)
