"""TLS, as both kinds of servers are logged in to: a certificate that is not good, or no TLS, ends it before the login.

The server is a stage with the first lines of each protocol: it offers TLS or not, shows the certificate that a test
wants, and keeps what comes behind.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy.engine import make_url

from replicator.engine import Endpoint, find
from replicator.engines.mysql import connect as mysql
from replicator.engines.postgres import connect as postgres
from replicator.errors import Refused, Retryable

PASSWORD = "S3cr3t-of-this-test"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
TLS_1_2 = ssl.TLSVersion.TLSv1_2
Key = ec.EllipticCurvePrivateKey


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    key: Key, issuer: str, signer: Key, *, host: str | None, until: datetime.datetime = NOW + DAY
) -> x509.Certificate:
    """Of a server at `host`; of an authority where there is none."""
    subject = named("server") if host else named(issuer)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host:
        place = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        made = made.add_extension(x509.SubjectAlternativeName([place]), critical=False)
    return made.sign(signer, hashes.SHA256())


@dataclass
class Certificates:
    """An authority, another one, and what servers show."""

    path: Path
    authority: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    own: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.write("ca", certificate(self.authority, "authority", self.authority, host=None))
        other = ec.generate_private_key(ec.SECP256R1())
        self.write("other-ca", certificate(other, "authority", other, host=None))
        here = "127.0.0.1"
        self.write("good", certificate(self.own, "authority", self.authority, host=here))
        self.write("wrong authority", certificate(self.own, "authority", other, host=here))
        self.write("wrong host", certificate(self.own, "authority", self.authority, host="db.example.org"))
        self.write("expired", certificate(self.own, "authority", self.authority, host=here, until=NOW - DAY))
        self.write("self-signed", certificate(self.own, "server", self.own, host=here))
        self.file("key").write_bytes(
            self.own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.file("key").chmod(0o600)

    def write(self, name: str, made: x509.Certificate) -> None:
        self.file(name).write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def file(self, name: str) -> Path:
        return self.path / f"{name.replace(' ', '-')}.pem"

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(name), self.file("key"))
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


class Stage:
    """`context`: what TLS is made with, None for a server without. `heard`: what was said behind, if anything."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def serve(self, talk: Callable[[Stage, socket.socket], None]) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            line.settimeout(5)
            with line, suppress(OSError):
                talk(self, line)

    def inside(self, line: socket.socket) -> None:
        """Behind the agreement to use TLS."""
        assert self.context is not None
        with self.context.wrap_socket(line, server_side=True) as secret:
            self.heard += secret.recv(4096)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def as_postgres(stage: Stage, line: socket.socket) -> None:
    first = line.recv(8)
    if first[4:] == struct.pack(">I", 80877104):  # may I have GSSAPI?
        line.sendall(b"N")
        first = line.recv(8)
    if first[4:] != struct.pack(">I", 80877103):  # may I have TLS?
        stage.heard += first + line.recv(4096)
    elif stage.context is not None:
        line.sendall(b"S")
        stage.inside(line)
    else:
        line.sendall(b"N")
        stage.heard += line.recv(4096)


CLIENT_SSL = 0x800
CAPABILITIES = 0x00AFF7DF  # of a server that knows the password's exchange by name, with CLIENT_SSL


def as_mysql(stage: Stage, line: socket.socket) -> None:
    can = CAPABILITIES | CLIENT_SSL if stage.context is not None else CAPABILITIES & ~CLIENT_SSL
    greeting = b"\x0a9.7.0\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", can & 0xFFFF)
    greeting += b"\xff\x02\0" + struct.pack("<H", can >> 16) + b"\x15" + bytes(10) + b"123456789012\0"
    greeting += b"mysql_native_password\0"
    line.sendall(struct.pack("<I", len(greeting)) + greeting)
    first = line.recv(36)
    if len(first) == 36 and stage.context is not None and struct.unpack_from("<I", first, 4)[0] & CLIENT_SSL:
        stage.inside(line)
    else:
        stage.heard += first


TALKS = {"postgresql": as_postgres, "mysql": as_mysql}


@contextmanager
def staged(engine: str, context: ssl.SSLContext | None) -> Iterator[Stage]:
    stage = Stage(context)
    thread = threading.Thread(target=stage.serve, args=(TALKS[engine],), daemon=True)
    thread.start()
    try:
        yield stage
    finally:
        stage.close()
        thread.join(10)


def log_in(engine: str, port: int, query: str) -> None:
    chosen = find(f"{engine}://")
    endpoint = chosen.endpoint(f"{engine}://someone@127.0.0.1:{port}/d?{query}", PASSWORD)
    chosen.source(endpoint, print).close()


@pytest.mark.parametrize("engine", TALKS)
def test_a_good_certificate_is_logged_in_with(engine: str, certificates: Certificates) -> None:
    """Else the others would prove nothing. The stage ends there."""
    for mode in ("verify-ca", "verify-full"):
        with staged(engine, certificates.context("good")) as stage:
            with pytest.raises((Refused, Retryable)):
                log_in(engine, stage.port, f"sslmode={mode}&sslrootcert={certificates.file('ca')}")
            assert b"someone" in stage.heard, mode


BAD = ("wrong authority", "wrong host", "expired", "self-signed")


@pytest.mark.parametrize("engine", TALKS)
@pytest.mark.parametrize("shown", BAD)
def test_s053_a_bad_certificate_is_refused_before_the_login(
    engine: str, shown: str, certificates: Certificates
) -> None:
    with staged(engine, certificates.context(shown)) as stage:
        with pytest.raises(Refused) as caught:
            log_in(engine, stage.port, f"sslmode=verify-full&sslrootcert={certificates.file('ca')}")
        assert stage.heard == b"" and caught.value.remedy
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("engine", TALKS)
def test_s053_another_authority_than_ours_is_refused(engine: str, certificates: Certificates) -> None:
    with staged(engine, certificates.context("good")) as stage:
        with pytest.raises(Refused):
            log_in(engine, stage.port, f"sslmode=verify-full&sslrootcert={certificates.file('other-ca')}")
        assert stage.heard == b""


@pytest.mark.parametrize("engine", TALKS)
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_s053_no_tls_offered_is_no_login(engine: str, mode: str, certificates: Certificates) -> None:
    """So does a proxy in between that takes the offer away: nothing of the login goes over the open line."""
    with staged(engine, None) as stage:
        with pytest.raises(Refused):
            log_in(engine, stage.port, f"sslmode={mode}&sslrootcert={certificates.file('ca')}")
        assert stage.heard == b""


@pytest.mark.parametrize("engine", TALKS)
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_s13_no_tls_before_1_2(engine: str, mode: str, certificates: Certificates) -> None:
    context = certificates.context("good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with staged(engine, context) as stage:
        with pytest.raises((Refused, Retryable)):
            log_in(engine, stage.port, f"sslmode={mode}&sslrootcert={certificates.file('ca')}")
        assert stage.heard == b""


def test_s13_the_least_version_is_asked_for() -> None:
    """Whatever the environment and the libraries' own configuration say."""
    for query in ("", "?sslmode=require"):
        found = postgres.parameters(Endpoint(f"postgresql://u@db.example.org/d{query}", "shown"))
        assert found["ssl_min_protocol_version"] == "TLSv1.2"
        assert mysql._tls(make_url(f"mysql://u@db.example.org/d{query}"))["ssl"].minimum_version is TLS_1_2
    # Without a word about TLS PyMySQL makes its own context, by this function.
    assert ssl.create_default_context().minimum_version is TLS_1_2
