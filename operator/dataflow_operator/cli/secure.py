"""How a connection to an API server is secured, and by which proxy it goes, as a kubeconfig and the environment say."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from dataflow_operator.adapters.kubernetes.fields import Json, text
from dataflow_operator.cli.kubeconfig import KubeconfigError

PEM: Final = "-----BEGIN"


def context_of(cluster: Json, user: Json, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return what a connection is secured with; *certificate* and *key* are what a program gave. KubeconfigError: it cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if cluster.get("insecure-skip-tls-verify") is True:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif (data := text(cluster.get("certificate-authority-data"))) is not None:
            context.load_verify_locations(cadata=_decoded(data))
        elif (path := text(cluster.get("certificate-authority"))) is not None:
            context.load_verify_locations(cafile=path)
        else:
            context.load_default_certs()
        given = _text_of(user, "client-certificate") if certificate is None else certificate
        if given is not None:
            with _file_of(given) as chain, _file_of((_text_of(user, "client-key") if key is None else key) or "") as secret:
                context.load_cert_chain(chain, secret)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"its certificates cannot be used: {getattr(error, 'strerror', None) or error}") from error
    return context


def proxy_of(cluster: Json, host: str) -> SplitResult | None:
    """Return the proxy by which a server is reached, or None. KubeconfigError: it is one of another kind than HTTP's."""
    told = text(cluster.get("proxy-url"))
    if told is None and any(name.lower() in {"https_proxy", "all_proxy"} for name in os.environ):
        import urllib.request  # noqa: PLC0415 # who has no proxy does without

        proxies = urllib.request.getproxies()
        if not urllib.request.proxy_bypass(host):
            told = proxies.get("https") or proxies.get("all")
    if told is None:
        return None
    proxy = urlsplit(told if "://" in told else f"http://{told}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise KubeconfigError(f"proxies like {proxy.scheme}:// are not known to the plugin: only http:// ones")
    return proxy


def login_of(proxy: SplitResult) -> dict[str, str]:
    """Return the headers by which a proxy knows who comes."""
    if not proxy.username:
        return {}
    login = f"{proxy.username}:{proxy.password or ''}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _text_of(user: Json, name: str) -> str | None:
    data, path = text(user.get(f"{name}-data")), text(user.get(name))
    if data is not None:
        return _decoded(data)
    return Path(path).read_text(encoding="utf-8") if path is not None else None


def _decoded(data: str) -> str:
    try:
        found = base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("they are not in Base64") from error
    if PEM not in found:
        raise ValueError("they are not in PEM")
    return found


@contextmanager
def _file_of(content: str) -> Generator[str]:
    """Have it in a file for a moment, which is how OpenSSL wants it."""
    with tempfile.NamedTemporaryFile("w", prefix="kubectl-dataflow-") as file:
        file.write(content)
        file.flush()
        yield file.name
