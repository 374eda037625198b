"""A server that tells whoever asks how it was asked, over TLS with certificates that are made for it."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key with the certificate that a small authority gave it."""

    certificate: bytes
    key: bytes


def a_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(slots=True, kw_only=True)
class Authority:
    """Whoever signs."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def signed(self, name: str, *, others: tuple[x509.GeneralName, ...] = (), is_authority: bool = False) -> Pair:
        key = self.key if is_authority else ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(a_name(name))
            .issuer_name(a_name("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Pair(certificate=signed.public_bytes(pem), key=secret)


@dataclass(slots=True, kw_only=True)
class Mirror:
    """A server that answers who asked for what; what it was asked is kept."""

    port: int
    authority: bytes
    person: Pair
    seen: list[Json] = field(default_factory=list[Json])
    refuses: set[str] = field(default_factory=set[str])
    """Values of the Authorization header that are not accepted."""
    hangs_up: int = 0
    """After how many answers the next connection is closed unasked."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def a_mirror(folder: Path) -> Generator[Mirror]:
    """Serve a mirror on the loopback interface."""
    authority = Authority()
    root, person = authority.signed("authority", is_authority=True), authority.signed("ann")
    served = authority.signed("mirror", others=(x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("mirror.test")))
    (folder / "chain").write_bytes(served.certificate + served.key)
    (folder / "root").write_bytes(root.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain")
    context.load_verify_locations(folder / "root")
    context.verify_mode = ssl.CERT_OPTIONAL
    mirror = Mirror(port=0, authority=root.certificate, person=person)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            secure: Any = self.connection
            shown: dict[str, Any] = secure.getpeercert() or {}
            names: list[str] = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
            who = {key: self.headers.get_all(key) for key in self.headers if key.startswith(("Impersonate", "Authorization"))}
            mirror.seen.append({"path": self.path, "name": names[0] if names else None, "port": self.client_address[1], **who})
            refused = self.headers.get("Authorization") in mirror.refuses
            body = json.dumps({"message": "who are you"} if refused else mirror.seen[-1]).encode()
            self.send_response(401 if refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if mirror.hangs_up and len(mirror.seen) == mirror.hangs_up:
                self.close_connection = True

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    mirror.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
