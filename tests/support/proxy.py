"""A TCP proxy that misbehaves on command: what the network does to a connection, without a network.

`up` is the direction from the client to the server, `down` the way back. Every order is carried out inside
the proxy's event loop before the call returns, so that a test knows from which moment on the fault is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")
Direction = Literal["up", "down", "both"]
Pattern = bytes | Callable[[bytes], bool]

CHUNK = 64 * 1024
HOST = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def is_commit(chunk: bytes) -> bool:
    """A statement that is COMMIT and nothing else, to any server; the isolation level READ COMMITTED is none."""
    return chunk.rstrip(b"\0").endswith((b"\x03COMMIT", b"Q\0\0\0\x0bCOMMIT"))


class Held:
    """The chunk from a client that the proxy was asked to watch for; the test says what becomes of it."""

    def __init__(self, pattern: Pattern, loop: asyncio.AbstractEventLoop, loses_reply: bool) -> None:
        self._pattern = pattern
        self._loop = loop
        self._caught = threading.Event()
        self._decided = asyncio.Event()
        self._dropped = False
        self.loses_reply = loses_reply
        self.chunk = b""
        self._client: socket.socket | None = None

    @property
    def caught(self) -> bool:
        return self._caught.is_set()

    def wait(self, timeout: float = 30.0) -> bytes:
        """Wait until a chunk was caught, and return it."""
        if not self._caught.wait(timeout):
            raise AssertionError(f"waited {timeout:g} s in vain for a chunk matching {self._pattern!r}")
        return self.chunk

    def release(self) -> None:
        """Forward the chunk, and all that the client sent after it, in order."""
        self._loop.call_soon_threadsafe(self._decided.set)

    def drop(self) -> None:
        """Throw the chunk away; what follows it is forwarded."""
        self._dropped = True
        self.release()

    def abandon(self) -> None:
        """End the client's connection, and keep the server's: what is held is still on its way."""
        client = self._client
        assert client is not None, "nothing was caught"
        self._loop.call_soon_threadsafe(client.shutdown, socket.SHUT_RDWR)

    def matches(self, chunk: bytes) -> bool:
        if self.caught:
            return False
        return self._pattern in chunk if isinstance(self._pattern, bytes) else self._pattern(chunk)

    def catch(self, chunk: bytes, client: socket.socket) -> None:
        self.chunk, self._client = chunk, client
        self._caught.set()

    async def forwarded(self) -> bool:
        """Wait for the test's decision; true if the chunk is to go on."""
        if not self.loses_reply:
            await self._decided.wait()
        return not self._dropped


@dataclass
class Lane:
    """What happens to the bytes of one direction, over all connections."""

    name: Literal["up", "down"]
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: float = 0.0
    piece: int | None = None
    cut_in: int | None = None
    flip_in: int | None = None
    forwarded: int = 0

    def clear(self) -> None:
        self.seconds, self.piece, self.cut_in, self.flip_in = 0.0, None, None, None
        self.gate.set()


@dataclass(eq=False)
class Link:
    """One client's connection and ours to the server on its behalf."""

    client: socket.socket
    server: socket.socket
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    aborted: bool = False
    reply_is_lost: bool = False
    half_closed: set[str] = field(default_factory=set)

    def ends(self, lane: Lane) -> tuple[socket.socket, socket.socket]:
        return (self.client, self.server) if lane.name == "up" else (self.server, self.client)


class LinkEnded(Exception):
    """A fault has ended this link; its sockets are closed where the tasks that use them have ended."""


class FaultProxy:
    """Stands between a client and `host:port`; forwards until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._listener: socket.socket | None = None
        self._links: set[Link] = set()
        self._watches: list[Held] = []
        self._lanes = (Lane("up"), Lane("down"))
        self._bugs: list[BaseException] = []
        self.accepted = 0

    # -- life ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self.passing()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()
        if self._bugs and error is None:
            raise self._bugs[0]

    def url(self, url: str) -> str:
        """The same URL, leading through the proxy."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}{HOST}:{self.port}"))

    @property
    def bytes_up(self) -> int:
        """Bytes forwarded from clients to the server."""
        return self._lanes[0].forwarded

    @property
    def bytes_down(self) -> int:
        """Bytes forwarded from the server to clients."""
        return self._lanes[1].forwarded

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    # -- orders ----------------------------------------------------------------------------------------

    def passing(self) -> None:
        """Forward everything again, also what was kept back meanwhile; take new connections."""
        self._do(self._pass())

    def refuse(self) -> None:
        """New connections are refused (ECONNREFUSED); those that are open stay. The port stays ours."""
        self._do(self._refuse())

    def reset(self) -> None:
        """Break every open connection at once, with RST to both ends."""
        self._do(self._reset())

    def down(self) -> None:
        """The server is gone: open connections break, new ones are refused, until `passing`."""
        self.refuse()
        self.reset()

    def blackhole(self, direction: Direction = "both") -> None:
        """Connections are taken and kept, and nothing comes through, not even their end."""
        self._change(direction, lambda lane: lane.gate.clear())

    def delay(self, seconds: float, piece: int | None = None, direction: Direction = "both") -> None:
        """Every chunk is late by `seconds`; with `piece` it is also written in pieces of that many bytes."""

        def set_delay(lane: Lane) -> None:
            lane.seconds, lane.piece = seconds, piece

        self._change(direction, set_delay)

    def cut_after(self, count: int, direction: Direction = "down") -> None:
        """Forward `count` more bytes of that direction, then close the connection that carried the last one.

        Happens once: connections made afterwards pass, so that a test sees the recovery too.
        """
        self._change(direction, lambda lane: setattr(lane, "cut_in", count))

    def flip(self, offset: int, direction: Direction = "down") -> None:
        """Invert the bits of the byte at `offset` (0 is the next one) of that direction, once."""
        self._change(direction, lambda lane: setattr(lane, "flip_in", offset))

    def half_close(self, direction: Direction = "up") -> None:
        """Tell the receiver of that direction that no more will come; the other direction flows on."""

        def close(lane: Lane) -> None:
            for link in self._links:
                link.half_closed.add(lane.name)
                with contextlib.suppress(OSError):
                    link.ends(lane)[1].shutdown(socket.SHUT_WR)

        self._change(direction, close)

    def swallow(self, pattern: Pattern) -> Held:
        """Hold the next chunk from a client that matches, say a COMMIT, until the test releases it.

        A pattern is looked for in each chunk as it arrives, not across two of them: good for statements,
        which clients send in one write.
        """
        return self._watch(pattern, loses_reply=False)

    def lose_reply(self, pattern: Pattern) -> Held:
        """Forward the next matching chunk, wait for the server's answer, and break the connection instead of
        handing it on: the server did what it was asked to, and the client cannot know."""
        return self._watch(pattern, loses_reply=True)

    # -- inside the loop -------------------------------------------------------------------------------

    def _do(self, order: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(order, self._loop).result(timeout=30)

    def _change(self, direction: Direction, change: Callable[[Lane], None]) -> None:
        async def order() -> None:
            for lane in self._lanes:
                if direction in (lane.name, "both"):
                    change(lane)

        self._do(order())

    def _watch(self, pattern: Pattern, loses_reply: bool) -> Held:
        async def order() -> Held:
            held = Held(pattern, self._loop, loses_reply)
            self._watches.append(held)
            return held

        return self._do(order())

    async def _pass(self) -> None:
        for lane in self._lanes:
            lane.clear()
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(128)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        self._listener = None

    async def _reset(self) -> None:
        links = list(self._links)
        for link in links:
            link.aborted = True
            link.over.set()
        await asyncio.gather(*(link.task for link in links if link.task is not None))

    async def _close(self) -> None:
        await self._refuse()
        await self._reset()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        self.accepted += 1
        link = Link(client, socket.socket())
        for sock in (link.client, link.server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links.add(link)
        link.task = self._loop.create_task(self._serve(link))

    async def _serve(self, link: Link) -> None:
        """Own one link's sockets: they are closed only when no task waits on them any more."""
        work = self._loop.create_task(self._work(link))
        work.add_done_callback(lambda _: link.over.set())
        await link.over.wait()
        work.cancel()
        (result,) = await asyncio.gather(work, return_exceptions=True)
        errors = result.exceptions if isinstance(result, BaseExceptionGroup) else (result,)
        link.aborted |= any(isinstance(error, OSError) for error in errors)
        expected = (OSError, LinkEnded, asyncio.CancelledError)
        self._bugs += [error for error in errors if error is not None and not isinstance(error, expected)]
        for sock in (link.client, link.server):
            if link.aborted:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            sock.close()
        self._links.discard(link)

    async def _work(self, link: Link) -> None:
        for lane in self._lanes:
            await lane.gate.wait()
        await self._loop.sock_connect(link.server, self._target)
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._carry(link, lane))

    async def _carry(self, link: Link, lane: Lane) -> None:
        """One direction of one link, until its sender has no more."""
        sender, receiver = link.ends(lane)
        while True:
            await lane.gate.wait()
            chunk = await self._loop.sock_recv(sender, CHUNK)
            if lane.seconds:
                await asyncio.sleep(lane.seconds)
            await lane.gate.wait()
            if lane.name in link.half_closed:
                if not chunk:
                    return
            elif lane.name == "down" and link.reply_is_lost:
                link.aborted = True
                raise LinkEnded
            elif not chunk:
                receiver.shutdown(socket.SHUT_WR)
                return
            elif lane.name == "down" or await self._may_go(link, chunk):
                await self._write(lane, receiver, chunk)

    async def _may_go(self, link: Link, chunk: bytes) -> bool:
        held = next((watch for watch in self._watches if watch.matches(chunk)), None)
        if held is None:
            return True
        link.reply_is_lost = held.loses_reply
        held.catch(chunk, link.client)
        return await held.forwarded()

    async def _write(self, lane: Lane, receiver: socket.socket, chunk: bytes) -> None:
        cut = False
        if lane.flip_in is not None:
            if lane.flip_in < len(chunk):
                at, lane.flip_in = lane.flip_in, None
                chunk = chunk[:at] + bytes([chunk[at] ^ 0xFF]) + chunk[at + 1 :]
            else:
                lane.flip_in -= len(chunk)
        if lane.cut_in is not None:
            if lane.cut_in <= len(chunk):
                chunk, lane.cut_in, cut = chunk[: lane.cut_in], None, True
            else:
                lane.cut_in -= len(chunk)
        step = lane.piece or len(chunk) or 1
        for start in range(0, len(chunk), step):
            piece = chunk[start : start + step]
            lane.forwarded += len(piece)  # first: whoever has received the bytes finds them counted
            await self._loop.sock_sendall(receiver, piece)
        if cut:
            raise LinkEnded


def _bound(port: int) -> socket.socket:
    """A bound socket. Two may share the port: one that never listens keeps it reserved while the proxy
    refuses connections, so that the port of a refusing proxy cannot become somebody else's."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((HOST, port))
    return sock
