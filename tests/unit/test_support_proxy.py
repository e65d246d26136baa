"""The fault proxy does to a connection what it says, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import FaultProxy
from tests.support.wait import until


class EchoServer:
    """Sends back what it gets; remembers all of it, and how each connection ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.got = bytearray()
        self.ends: list[str] = []
        self.threads: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.echo, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65536):
                    self.got += chunk
                    connection.sendall(chunk)
            except OSError as error:
                self.ends.append(type(error).__name__)
                return
            self.ends.append("end")
            with contextlib.suppress(OSError):
                connection.sendall(b"bye")


@pytest.fixture
def server() -> Iterator[EchoServer]:
    server = EchoServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()
    thread.join()
    for connection in server.threads:
        connection.join(10)
        assert not connection.is_alive(), "a connection outlived the proxy"


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", server.port) as proxy:
        yield proxy
    assert "fault-proxy" not in [thread.name for thread in threading.enumerate()]


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def receive(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (chunk := client.recv(count - len(data))):
        data += chunk
    return data


def nothing_comes(client: socket.socket, seconds: float = 0.2) -> bool:
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_passes_bytes_and_counts_them(proxy: FaultProxy, server: EchoServer) -> None:
    payload = bytes(range(256)) * 4096
    with connect(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(payload,))
        sender.start()
        assert receive(client, len(payload)) == payload
        sender.join()
        assert (proxy.accepted, proxy.connections) == (1, 1)
        assert (proxy.bytes_up, proxy.bytes_down) == (len(payload), len(payload))
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 4) == b"bye"
    until(lambda: proxy.connections == 0, 5, "the end of the connection to pass through")
    assert server.ends == ["end"]


def test_url_keeps_everything_but_the_address(proxy: FaultProxy) -> None:
    url = "postgresql://us%40er:p%3Aw@db.example:5432/shop?sslmode=disable"
    assert proxy.url(url) == f"postgresql://us%40er:p%3Aw@127.0.0.1:{proxy.port}/shop?sslmode=disable"
    assert proxy.url("postgresql:///shop") == f"postgresql://127.0.0.1:{proxy.port}/shop"


def test_refuse_leaves_open_connections_and_comes_back(proxy: FaultProxy) -> None:
    with connect(proxy) as client:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        client.sendall(b"still here")
        assert receive(client, 10) == b"still here"
        proxy.passing()
        with connect(proxy) as other:
            other.sendall(b"x")
            assert receive(other, 1) == b"x"


def test_reset_breaks_both_ends_at_once(proxy: FaultProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
        proxy.reset()
        assert proxy.connections == 0
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(lambda: server.ends == ["ConnectionResetError"], 5, "the server to be reset")


def test_down_is_refuse_and_reset(proxy: FaultProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
        proxy.down()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_blackhole_takes_connections_and_forwards_nothing(proxy: FaultProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.blackhole()
        client.sendall(b"b")
        with connect(proxy) as late:
            late.sendall(b"c")
            assert nothing_comes(client)
            assert nothing_comes(late)
            assert server.got == b"a"
            proxy.passing()
            assert receive(client, 1) == b"b"
            assert receive(late, 1) == b"c"


def test_blackhole_of_one_direction(proxy: FaultProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.blackhole("down")
        client.sendall(b"b")
        until(lambda: server.got == b"ab", 5, "the way up to be open")
        assert nothing_comes(client)


def test_blackhole_hides_the_end_of_a_client(proxy: FaultProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        proxy.blackhole()
    time.sleep(0.2)
    assert server.ends == []
    proxy.passing()
    until(lambda: server.ends == ["end"], 5, "the end to arrive after all")


def test_delay_is_at_least_that_long(proxy: FaultProxy) -> None:
    proxy.delay(0.1)
    with connect(proxy) as client:
        start = time.monotonic()
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
        assert time.monotonic() - start >= 0.2


def test_single_byte_writes_lose_nothing(proxy: FaultProxy) -> None:
    proxy.delay(0.0, piece=1)
    payload = bytes(range(256)) * 8
    with connect(proxy) as client:
        client.sendall(payload)
        assert client.recv(4096) != payload
        proxy.passing()


@pytest.mark.parametrize("count", [0, 1, 5, 10])
def test_cut_after_forwards_exactly_that_much_once(proxy: FaultProxy, server: EchoServer, count: int) -> None:
    proxy.cut_after(count, "up")
    with connect(proxy) as client:
        client.sendall(b"0123456789")
        assert len(receive(client, 100)) <= count
    until(lambda: len(server.ends) == 1, 5, "the server to see the end")
    assert server.got == b"0123456789"[:count]
    with connect(proxy) as client:
        client.sendall(b"again")
        assert receive(client, 5) == b"again"


def test_cut_after_down(proxy: FaultProxy) -> None:
    proxy.cut_after(4, "down")
    with connect(proxy) as client:
        client.sendall(b"0123456789")
        assert receive(client, 100) == b"0123"


def test_flip_changes_one_byte_once(proxy: FaultProxy) -> None:
    proxy.flip(12, "down")
    with connect(proxy) as client:
        for expected in (b"0123456789", b"01\xcd3456789", b"0123456789"):
            client.sendall(b"0123456789")
            assert receive(client, 10) == expected


def test_half_close_ends_one_direction_only(proxy: FaultProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
        proxy.half_close("up")
        assert receive(client, 3) == b"bye"
        assert server.ends == ["end"]


def test_swallow_holds_and_releases_in_order(proxy: FaultProxy, server: EchoServer) -> None:
    held = proxy.swallow(b"COMMIT")
    with connect(proxy) as client, connect(proxy) as other:
        client.sendall(b"BEGIN;")
        assert receive(client, 6) == b"BEGIN;"
        client.sendall(b"COMMIT;")
        assert held.wait(5) == b"COMMIT;"
        client.sendall(b"more;")
        assert nothing_comes(client)
        other.sendall(b"COMMIT;")
        assert receive(other, 7) == b"COMMIT;", "only the first match is held"
        held.release()
        assert receive(client, 12) == b"COMMIT;more;"
    assert server.got == b"BEGIN;COMMIT;COMMIT;more;"


def test_swallow_can_drop(proxy: FaultProxy) -> None:
    held = proxy.swallow(lambda chunk: chunk.startswith(b"b"))
    with connect(proxy) as client:
        client.sendall(b"b-lost;")
        held.wait(5)
        held.drop()
        client.sendall(b"c;")
        assert receive(client, 2) == b"c;"


def test_a_chunk_held_at_the_end_is_no_leak(proxy: FaultProxy) -> None:
    held = proxy.swallow(b"x")
    with connect(proxy) as client:
        client.sendall(b"x")
        held.wait(5)


def test_waiting_for_a_chunk_that_never_comes_names_it(proxy: FaultProxy) -> None:
    with pytest.raises(AssertionError, match="COMMIT"):
        proxy.swallow(b"COMMIT").wait(0.05)


def test_lose_reply_lets_the_server_act_and_the_client_wonder(proxy: FaultProxy, server: EchoServer) -> None:
    proxy.lose_reply(b"COMMIT")
    with connect(proxy) as client:
        client.sendall(b"COMMIT;")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert server.got == b"COMMIT;"


def test_a_server_that_is_away_resets_clients(server: EchoServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy:
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        assert proxy.accepted == 1


def test_an_error_in_a_predicate_is_not_lost(server: EchoServer) -> None:
    def broken(chunk: bytes) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.swallow(broken)
        with connect(proxy) as client:
            client.sendall(b"x")
            assert client.recv(1) == b""


def test_many_connections_under_changing_faults_leave_nothing(proxy: FaultProxy) -> None:
    """Sockets are closed only where no task waits on them: a number used again would get its events."""
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                with connect(proxy) as client:
                    for _ in range(5):
                        client.sendall(b"ping")
                        assert receive(client, 4) in (b"ping", b"pin", b"pi", b"p", b"")
            except OSError:
                pass

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        proxy.reset()
        proxy.cut_after(7, "both")
        time.sleep(0.01)
        proxy.refuse()
        proxy.passing()
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    with connect(proxy) as client:
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
