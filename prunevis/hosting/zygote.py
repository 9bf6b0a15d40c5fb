"""A process that has everything loaded, and forks a kernel from itself when it is asked for one.

Torch and the libraries of figures take most of a kernel's memory and start. A forked kernel shares
their pages with all others until it writes to them, and starts in a fraction of the time.

It is spoken to over a Unix socket, one connection a kernel: a line of JSON with `connection_file`,
`env`, `cwd`, `arguments` asks; the answers are the lines ``pid`` and, once the kernel has ended,
``exit status`` (negative: the signal). It has one thread, since a fork copies only the thread that
forks, and ends when its standard input does: with the server, however that ended.

``python -m prunevis.hosting.zygote SOCKET MODULE:FUNCTION...`` calls the functions first, which
load what the kernels are to share.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

#: What every kernel loads.
ALWAYS = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "zmq.eventloop")


def main(argv: list[str]) -> int:
    """Load everything, say so in a line, and fork until standard input ends."""
    address, *calls = argv
    for call in calls:
        module, _, name = call.partition(":")
        getattr(import_module(module), name)()
    # last: widgets that were made before belong to no kernel
    for name in ALWAYS:
        import_module(name)
    # objects that are there by now are no longer looked through: looking would copy their pages
    gc.collect()
    gc.freeze()
    Zygote(address).run()
    return 0


class Zygote:
    """Waits for requests and for the ends of kernels, on one thread."""

    def __init__(self, address: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        os.chmod(address, 0o600)
        self.listener.listen(64)
        self.kernels: dict[int, socket.socket] = {}
        self.wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C in the server's terminal is the server's to handle
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.selector = selectors.DefaultSelector()
        for source in (self.listener, self.wakeup, sys.stdin.fileno()):
            self.selector.register(source, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until standard input ends."""
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._fork(self.listener.accept()[0])
                elif key.fd == self.wakeup:
                    os.read(self.wakeup, 4096)
                    self._reap()
                elif not os.read(key.fd, 4096):
                    return

    def _fork(self, client: socket.socket) -> None:
        client.settimeout(5)
        try:
            with client.makefile(encoding="utf-8") as lines:
                request = json.loads(lines.readline())
        except (OSError, ValueError):
            client.close()
            return
        pid = os.fork()
        if pid == 0:
            self._become_kernel(client, request)
        self.kernels[pid] = client
        self._tell(client, f"{pid}\n")

    def _reap(self) -> None:
        while self.kernels:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self.kernels.pop(pid)
            self._tell(client, f"{os.waitstatus_to_exitcode(status)}\n")
            client.close()

    @staticmethod
    def _tell(client: socket.socket, text: str) -> None:
        # a server that has gone is noticed at standard input
        with contextlib.suppress(OSError):
            client.sendall(text.encode())

    def _become_kernel(self, client: socket.socket, request: dict[str, Any]) -> NoReturn:
        """Turn this copy into a kernel of its own session, and never come back."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setsid()
            self.selector.close()
            for other in (*self.kernels.values(), self.listener, client):
                other.close()
            os.close(self.wakeup)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            # standard output was the way to say "ready"; errors go where the server's go
            os.dup2(2, 1)
            status = kernel(**request)
        finally:
            os._exit(status)


def kernel(connection_file: str, env: dict[str, str], cwd: str, arguments: list[str]) -> int:
    """Run a kernel in this process until it ends."""
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    with contextlib.suppress(OSError):
        # tells kernels apart in a list of processes
        name = Path(connection_file).stem.removeprefix("kernel-")
        Path("/proc/self/comm").write_text(f"pv-{name[:8]}")
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(["-f", connection_file, *arguments])
    app.start()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
