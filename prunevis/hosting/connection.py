"""The line from a browser to its kernel, with the guard on it.

Jupyter's server lets the class of this line be chosen (``kernel_websocket_connection_class``); this
one passes on what `prunevis.hosting.guard` lets through, and hangs up on who says too much.
"""

from __future__ import annotations

import logging
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from prunevis.hosting.guard import Budget, Refused, checked

log = logging.getLogger("prunevis")

#: What a refused message costs of a visitor's messages.
REFUSED_COSTS = 10
#: What the opening of a comm costs: the kernel keeps it until it is closed.
OPEN_COSTS = 20
#: Tabs that one kernel speaks to at the same time.
MOST_TABS = 4
#: WebSocket's number for a breach of policy.
POLICY = 1008


class GuardedConnection(ZMQChannelsWebsocketConnection):
    """Passes on what a page needs."""

    _cut = _complained = False

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass a browser's message on to the kernel, if it may pass."""
        if not self.channels or self._cut:
            return  # closed, or being closed
        try:
            message = checked(incoming_msg, self.subprotocol)
        except Refused as error:
            message, why = None, str(error)
        else:
            why = ""
        costs = 1 if message is not None else REFUSED_COSTS
        if message is not None and message["header"]["msg_type"] == "comm_open":
            costs = OPEN_COSTS
        if not self._budget().spend(costs, len(incoming_msg)):
            self._cut = True
            log.warning("a visitor's line is cut: too much came over it")
            self.websocket_handler.close(POLICY, "too many messages")
            return
        if message is None:
            if not self._complained:
                self._complained = True  # once a line: a log can be flooded too
                log.warning("a visitor's message was dropped: %s", why)
            return
        self.session.send(self.channels["shell"], message)

    def _budget(self) -> Budget:
        """Return the visitor's budget; another line to the same kernel does not bring another."""
        manager: Any = self.multi_kernel_manager
        visit = manager.visits.get(self.kernel_id)
        if visit is None:  # its kernel has just ended
            return Budget()
        if visit.budget is None:
            visit.budget = Budget()
        return visit.budget
