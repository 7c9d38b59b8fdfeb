"""A rude TCP proxy: between a client and a server of 127.0.0.1, it does what networks and servers do
on a bad day.

    proxy = Proxy(redis.port)           # listens on proxy.port, passes everything on
    proxy.half_open("from_server")      # in force when the call returns
    proxy.pass_on()
    proxy.close()

A mode holds for the connections that are there and for those to come. It runs in a thread of its
own; its methods may be called from any other. Kafka through it: advertised.listeners must name
proxy.port.
"""

import asyncio
import collections
import contextlib
import socket
import struct
import threading

CHUNK = 65536
SLICES_A_SECOND = 20  # of what slow() lets through
DEADLINE_S = 30

TO_SERVER, FROM_SERVER = "to_server", "from_server"
DIRECTIONS = (TO_SERVER, FROM_SERVER)

Mode = collections.namedtuple("Mode", "kind directions amount answer")


def _mode(kind, directions=DIRECTIONS, amount=0, answer=None):
    return Mode(kind, directions, amount, answer)


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, client, mode):
        self.client, self.server = client, None
        self.deaf = set()  # directions in which bytes were dropped: no stream any more
        self.task = None
        self.allow(mode)

    def allow(self, mode):
        """What cut_after lets through counts from when it was asked for."""
        self.left = mode.amount

    def sockets(self):
        return [end for end in (self.client, self.server) if end is not None]

    def reset(self):
        """Closed so that the peers see a reset, whatever is still on its way."""
        for end in self.sockets():
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.task.cancel()


class Proxy:
    """Listens on `port` of 127.0.0.1 for what goes to `target_port`."""

    def __init__(self, target_port, port=0):
        self.target = ("127.0.0.1", target_port)
        self.connections = 0  # accepted so far
        self.bytes = dict.fromkeys(DIRECTIONS, 0)  # passed on
        # Bound and never listening: the port stays ours while connections are refused.
        self._holder = self._bound(port)
        self.port = self._holder.getsockname()[1]
        self._links = set()
        self._acceptor = None
        self._mode = _mode("pass")
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.pass_on()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def open(self):
        """Connections that are there now."""
        return len(self._links)

    # ---- modes

    def pass_on(self):
        """Everything goes through, also what a stall held back."""
        self._set(_mode("pass"))

    def refuse(self):
        """Nobody listens, and who was connected is reset."""
        self._set(_mode("refuse"))

    def reset(self):
        """Every connection is reset, a new one as soon as it is accepted."""
        self._set(_mode("reset"))

    def stall(self):
        """Connections are accepted and kept; no byte moves, none is lost."""
        self._set(_mode("stall"))

    def slow(self, bytes_a_second):
        """That many bytes a second, each way and for each connection."""
        self._set(_mode("slow", amount=bytes_a_second))

    def half_open(self, *directions):
        """Bytes of these directions (both: none named) vanish without a word. A connection that lost
        some stays so when the mode changes; only new ones are well again."""
        self._set(_mode("half_open", directions or DIRECTIONS))

    def cut_after(self, count):
        """Each connection is reset once the server has said that many bytes more."""
        self._set(_mode("cut", (FROM_SERVER,), amount=count))

    def inject(self, answer):
        """The client hears `answer` instead of the server: bytes, said once to each read of what it
        sent; or a function of that read that gives bytes, or None to pass it on."""
        say = answer if callable(answer) else lambda _: answer
        self._set(_mode("inject", (TO_SERVER,), answer=say))

    def cut(self):
        """The connections of now are reset; the mode stays."""
        self._call(self._reset_links())

    def close(self):
        if self._loop.is_closed():
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._holder.close()

    # ---- in the thread

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    def _set(self, mode):
        self._call(self._change(mode))

    @staticmethod
    def _bound(port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", port))
        return sock

    async def _change(self, mode):
        self._mode = mode
        for link in self._links:
            link.allow(mode)
        self._changed.set()  # wakes all who wait for another mode
        self._changed = asyncio.Event()
        if mode.kind in ("refuse", "reset"):
            await self._reset_links()
        if mode.kind == "refuse":
            await self._stop_listening()
        elif self._acceptor is None:
            listener = self._bound(self.port)
            listener.listen(128)
            self._acceptor = self._loop.create_task(self._accept(listener))

    async def _end(self):
        await self._stop_listening()
        await self._reset_links()

    async def _stop_listening(self):
        if self._acceptor is not None:
            self._acceptor.cancel()
            await asyncio.wait([self._acceptor])
        self._acceptor = None

    async def _reset_links(self):
        tasks = [link.task for link in self._links]
        for link in list(self._links):
            link.reset()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self, listener):
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                client.setblocking(False)
                link = _Link(client, self._mode)
                self.connections += 1
                self._links.add(link)
                link.task = self._loop.create_task(self._serve(link))

    async def _serve(self, link):
        try:
            if self._mode.kind == "reset":
                link.reset()
            await self._connect(link)
            await self._pump_both(link)
        except OSError:
            link.reset()
        finally:
            self._links.discard(link)
            for end in link.sockets():
                end.close()

    async def _connect(self, link):
        while self._mode.kind == "stall":
            await self._changed.wait()
        link.server = socket.socket()
        link.server.setblocking(False)
        await self._loop.sock_connect(link.server, self.target)
        for end in link.sockets():
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def _pump_both(self, link):
        ways = [
            self._loop.create_task(self._pump(link, TO_SERVER, link.client, link.server)),
            self._loop.create_task(self._pump(link, FROM_SERVER, link.server, link.client)),
        ]
        try:
            await asyncio.gather(*ways)
        finally:  # one way may have failed alone; sockets are closed after both have ended
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async def _pump(self, link, way, source, sink):
        while True:
            data = await self._loop.sock_recv(source, CHUNK)
            while data and self._mode.kind == "stall":
                await self._changed.wait()
            if not data:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
            await self._through(link, way, sink, data)

    async def _through(self, link, way, sink, data):
        mode = self._mode
        if mode.kind == "half_open" and way in mode.directions:
            link.deaf.add(way)
        if way in link.deaf:
            return
        if mode.kind == "slow":
            await self._drip(way, sink, data)
        elif mode.kind == "inject" and way == TO_SERVER:
            said = mode.answer(data)
            await (self._send(way, sink, data) if said is None
                   else self._loop.sock_sendall(link.client, said))
        elif mode.kind == "cut" and way == FROM_SERVER:
            await self._send(way, sink, data[: link.left])
            link.left -= len(data)
            if link.left <= 0:
                link.reset()
        else:
            await self._send(way, sink, data)

    async def _drip(self, way, sink, data):
        """A slice at a time; in one go once the mode is another."""
        while data:
            rate = self._mode.amount
            if self._mode.kind != "slow":
                await self._send(way, sink, data)
                return
            part = data[: max(1, rate // SLICES_A_SECOND)]
            data = data[len(part) :]
            await self._send(way, sink, part)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), len(part) / rate)

    async def _send(self, way, sink, data):
        await self._loop.sock_sendall(sink, data)
        self.bytes[way] += len(data)
