# SPDX-License-Identifier: Apache-2.0
"""A relay of TCP connections that stalls on demand: silence without a closed connection.

    with StallRelay(cluster.port) as relay:          # listens on relay.port
        relay.stall()                                # nothing flows; connections are still accepted
        relay.go_on()                                # what was kept back flows
"""

import socket
import threading

PIECE = 1 << 16


class StallRelay:
    """Passes bytes between its own port and a port of this machine."""

    def __init__(self, target_port):
        self.target = ("127.0.0.1", target_port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.flows = threading.Event()
        self.flows.set()
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def stall(self):
        self.flows.clear()

    def go_on(self):
        self.flows.set()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                if self.listener.fileno() < 0:
                    return # close() was called
                client.close() # the server is away: so is the client
                continue
            self.sockets += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, sink):
        """Until one side ends: then that goes on to the other side, but not while it stalls."""
        try:
            while piece := source.recv(PIECE):
                self.flows.wait()
                sink.sendall(piece)
        except OSError:
            pass # reset by either side
        self.flows.wait()
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass # the other direction has done it

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.go_on()
        for sock in self.sockets:
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
