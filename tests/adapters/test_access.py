from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from dataflow_operator.adapters.kubernetes.access import Access, AccessError, from_kubeconfig, in_cluster


def a_kubeconfig(folder: Path, *, user: str = "{token: t}", cluster: str = "{server: 'http://h:1/'}", current: str = "x") -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        f"{{clusters: [{{name: c, cluster: {cluster}}}], users: [{{name: u, user: {user}}}],"
        f" contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: {current}}}"
    )
    return path


def test_the_current_context_of_a_kubeconfig_is_taken(tmp_path: Path) -> None:
    found = from_kubeconfig(a_kubeconfig(tmp_path))
    assert (found.server, found.token, found.tls) == ("http://h:1", "t", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current": "other"}, "no context named 'other'"),
        ({"user": "{exec: {command: gcloud}}"}, "credential from a program"),
        ({"cluster": "{}"}, "names no server"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(AccessError, match=message):
        from_kubeconfig(a_kubeconfig(tmp_path, **changes))


def test_outside_a_pod_a_kubeconfig_is_asked_for() -> None:
    with pytest.raises(AccessError, match="--kubeconfig"):
        in_cluster({})


async def test_a_token_that_changes_in_its_file_is_sent_from_then_on_and_outlives_the_file(tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    token = tmp_path / "token"
    session: aiohttp.ClientSession = Access(server="", tls=None, token_file=token, token_every_seconds=-1.0).session()
    for text in ("one\n", "two\n", ""):
        token.write_text(text)
        async with session.get(f"http://{host}:{port}/"):
            pass
    token.unlink()
    async with session.get(f"http://{host}:{port}/"):
        pass
    await session.close()
    await runner.cleanup()
    assert seen == ["Bearer one", "Bearer two", "Bearer two", "Bearer two"]
