"""Kernels forked from a loaded process, by Jupyter's extension point for that: a provisioner.

`Zygotes` keeps the process (see `prunevis.hosting.zygote`), `ForkProvisioner` is what
`jupyter_client` asks for a kernel. Where there is none, on systems that do not fork well or after
it was killed, a kernel is started as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

log = logging.getLogger("prunevis")

NAME = "prunevis-fork"
#: Where a fork of what is loaded is known to be sound: macOS's frameworks do not bear it.
FORKS = sys.platform == "linux"
#: So often it is started again after it died; then kernels are started as ever.
RESTARTS = 3


class Zygotes:
    """Keeps one loaded process to fork kernels from, and starts another if it dies.

    Parameters
    ----------
    folder
        A private folder, for its socket.
    calls
        ``module:function`` that it calls before anything is forked.
    """

    current: Zygotes | None = None

    def __init__(self, folder: Path, calls: tuple[str, ...]) -> None:
        self.folder, self.calls = folder, calls
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self._started = 0
        self._ready = False
        self._asking = asyncio.Lock()

    def start(self) -> None:
        """Start the process; it is ready some seconds later."""
        self._started += 1
        self._ready = False
        self.address = str(self.folder / f"zygote-{self._started}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prunevis.hosting.zygote", self.address, *self.calls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # threads that a library starts while it loads would be missing in the kernels
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    async def ready(self) -> bool:
        """Wait until kernels can be forked; False if they cannot."""
        async with self._asking:  # of many kernels that wait, one reads the line
            if self.process is None or self.process.poll() is not None:
                if self._started > RESTARTS:
                    return False
                self.start()
            if not self._ready:
                assert self.process is not None
                assert self.process.stdout is not None
                read = self.process.stdout.readline
                line = await asyncio.get_running_loop().run_in_executor(None, read)
                self._ready = line == b"ready\n"
            return self._ready

    def stop(self) -> None:
        """End the process, and whatever it forked."""
        if self.process is not None and self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Forked:
    """A kernel that is a child of another process, with what `Popen` has of it."""

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, pid: int, rest: bytes) -> None:
        self.line, self.pid, self.returncode = line, pid, None
        self._read = rest

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        if self.returncode is None:
            try:
                while chunk := self.line.recv(64):
                    self._read += chunk
                # the end: with its status, or the process that forked it is gone, and it follows
                self.returncode = int(self._read or b"-9")
            except BlockingIOError:
                return None
            except (OSError, ValueError):
                self.returncode = -9
            self.line.close()
        return self.returncode

    def wait(self) -> int | None:
        """Return the exit status of a kernel that has ended."""
        return self.poll()

    def send_signal(self, signum: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class ForkProvisioner(LocalProvisioner):
    """Forks Python kernels from the loaded process, if there is one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork the kernel that `cmd` would start, or start it."""
        zygotes = Zygotes.current
        if zygotes is None or "ipykernel_launcher" not in cmd or not await zygotes.ready():
            return await super().launch_kernel(cmd, **kwargs)
        try:
            process = await asyncio.wait_for(self._fork(zygotes.address, cmd, kwargs), 30)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            log.warning("A kernel could not be forked and is started instead: %s", error)
            return await super().launch_kernel(cmd, **kwargs)
        # it leads a session, and so a group, of its own
        self.process, self.pid, self.pgid = process, process.pid, process.pid  # type: ignore[assignment]
        self.cwd = kwargs.get("cwd")
        return self.connection_info

    async def _fork(self, address: str, cmd: list[str], kwargs: dict[str, Any]) -> Forked:
        place = cmd.index("-f")
        request = {
            "connection_file": cmd[place + 1],
            "env": dict(kwargs["env"]),
            "cwd": str(kwargs.get("cwd") or Path.cwd()),
            "arguments": cmd[place + 2 :],
        }
        loop = asyncio.get_running_loop()
        line = socket.socket(socket.AF_UNIX)
        line.setblocking(False)
        await loop.sock_connect(line, address)
        await loop.sock_sendall(line, json.dumps(request).encode() + b"\n")
        read = b""
        while b"\n" not in read:
            chunk = await loop.sock_recv(line, 64)
            if not chunk:
                raise OSError("the process that forks has ended")
            read += chunk
        pid, rest = read.split(b"\n", 1)
        return Forked(line, int(pid), rest)


def register() -> None:
    """Make the provisioner the usual one of this process, also where it is only on the path."""
    from importlib.metadata import EntryPoint

    from jupyter_client.provisioning.factory import KernelProvisionerFactory as Factory

    factory = Factory.instance()
    factory.default_provisioner_name = NAME
    factory.provisioners.setdefault(
        NAME, EntryPoint(NAME, f"{__name__}:{ForkProvisioner.__name__}", Factory.GROUP_NAME)
    )
