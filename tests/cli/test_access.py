"""How the plugin reaches a cluster: everything that a kubeconfig can say, against a server that says who asked."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cli.fleet import Person
from tests.cli.mirror import Json, Mirror, a_mirror, in_base64
from tests.integration.schema_objects import ROOT, a_door

from dataflow_local.install import kubectl
from dataflow_local.users import User
from dataflow_operator.cli.channel import Channel
from dataflow_operator.cli.kubeconfig import KubeconfigError, access_of, contexts_of
from dataflow_operator.cli.server import ServerError, connected
from dataflow_operator.cli.terminal import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """The mirror, for all; each test has it fresh by `mirror`."""
    with a_mirror(tmp_path_factory.mktemp("tls")) as mirror:
        yield mirror


@pytest.fixture
def mirror(serving: Mirror) -> Mirror:
    serving.seen.clear()
    serving.refuses.clear()
    serving.hangs_up = 0
    return serving


def a_kubeconfig(folder: Path, mirror: Mirror, user: Json, **cluster: object) -> Place:
    """Return where a kubeconfig with this user is."""
    whole = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": mirror.url, "certificate-authority-data": in_base64(mirror.authority), **cluster}}
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(whole))
    return Place(kubeconfig=str(path))


def asked(place: Place, path: str = "/x") -> Json:
    found = connected(place).read(path)
    assert found is not None
    return dict(found)


def test_a_token_a_file_of_one_and_a_name_with_a_password_are_sent(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("two\n")
    for user, sent in (
        ({"token": "one"}, "Bearer one"),
        ({"tokenFile": "token"}, "Bearer two"),
        ({"username": "ann", "password": "three"}, f"Basic {in_base64(b'ann:three')}"),
    ):
        assert asked(a_kubeconfig(tmp_path, mirror, user))["Authorization"] == [sent]
    (tmp_path / "token").write_text("four")
    assert asked(a_kubeconfig(tmp_path, mirror, {"tokenFile": "token"}))["Authorization"] == ["Bearer four"]


def test_a_certificate_is_shown_from_files_and_from_the_kubeconfig_itself(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "ann.crt").write_bytes(mirror.person.certificate)
    (tmp_path / "ann.key").write_bytes(mirror.person.key)
    data = {"client-certificate-data": in_base64(mirror.person.certificate), "client-key-data": in_base64(mirror.person.key)}
    for user in (data, {"client-certificate": "ann.crt", "client-key": "ann.key"}):
        assert asked(a_kubeconfig(tmp_path, mirror, user))["name"] == "ann"
    with pytest.raises(ServerError, match="its certificates cannot be used: they are not in PEM"):
        asked(a_kubeconfig(tmp_path, mirror, {**data, "client-key-data": in_base64(b"no")}))


def test_the_server_s_certificate_is_checked_unless_that_is_waived_and_by_the_name_that_is_told(mirror: Mirror, tmp_path: Path) -> None:
    well: list[Json] = [{"tls-server-name": "mirror.test"}, {"certificate-authority-data": None, "insecure-skip-tls-verify": True}]
    for cluster in well:
        assert asked(a_kubeconfig(tmp_path, mirror, {}, **cluster))["path"] == "/x"
    ill: list[Json] = [{"tls-server-name": "other.test"}, {"certificate-authority-data": None}]
    for cluster in ill:
        with pytest.raises(ServerError, match=r"no answer from the API server .*: its certificate is not believed: "):
            asked(a_kubeconfig(tmp_path, mirror, {}, **cluster))


def test_who_is_impersonated_is_told_by_the_kubeconfig_and_else_by_the_arguments(mirror: Mirror, tmp_path: Path) -> None:
    user = {"token": "t", "as": "vera", "as-groups": ["viewers", "all"], "as-uid": "7", "as-user-extra": {"team": ["a"]}}
    place = a_kubeconfig(tmp_path, mirror, user)
    told = asked(place)
    assert [told[key] for key in ("Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-team")] == [
        ["vera"],
        ["viewers", "all"],
        ["7"],
        ["a"],
    ]
    told = asked(Place(kubeconfig=place.kubeconfig, impersonated="bob", groups=("b",)))
    assert (told["Impersonate-User"], told["Impersonate-Group"], told.get("Impersonate-Uid")) == (["bob"], ["b"], None)
    with pytest.raises(ServerError, match="--as-group goes with --as only"):
        asked(Place(kubeconfig=a_kubeconfig(tmp_path, mirror, {}).kubeconfig, groups=("b",)))


def a_program(folder: Path, *lives: str) -> Json:
    """Return an `exec` whose program gives the tokens t1, t2 and so on, each with its end."""
    (folder / "give.py").write_text(
        "import json, os, pathlib, sys\n"
        "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "count = pathlib.Path(sys.argv[1]); n = int(count.read_text() or 0) if count.exists() else 0; count.write_text(str(n + 1))\n"
        f"lives = {list(lives)!r}\n"
        "status = {'token': f'{os.environ[\"PREFIX\"]}{n + 1}', 'expirationTimestamp': lives[min(n, len(lives) - 1)] or None}\n"
        "print(json.dumps({'apiVersion': told['apiVersion'], 'kind': 'ExecCredential', 'status': status}))\n"
    )
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(folder / "give.py"), str(folder / "count")],
        "env": [{"name": "PREFIX", "value": "t"}],
        "interactiveMode": "Never",
        "provideClusterInfo": True,
    }


def test_a_program_is_asked_once_and_again_when_its_token_is_over_or_refused(mirror: Mirror, tmp_path: Path) -> None:
    far, past = "2100-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    server = connected(a_kubeconfig(tmp_path, mirror, {"exec": a_program(tmp_path, past, far, far)}))
    sent = [dict(server.read("/x") or {})["Authorization"] for _ in range(3)]
    assert sent == [["Bearer t1"], ["Bearer t2"], ["Bearer t2"]]
    mirror.refuses.add("Bearer t2")
    assert dict(server.read("/x") or {})["Authorization"] == ["Bearer t3"]
    mirror.refuses.add("Bearer t4")
    mirror.refuses.add("Bearer t3")
    with pytest.raises(ServerError, match="who are you") as raised:
        server.read("/x")
    assert "log in anew" in raised.value.mend[0]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"command": "no-such-program", "installHint": "get it\nthere"}, "its program no-such-program is not there: get it there"),
        ({"command": sys.executable, "args": ["-c", "raise SystemExit(3)"]}, "ended with 3"),
        ({"command": sys.executable, "args": ["-c", "print('{}')"]}, "gave neither a token nor a certificate"),
        ({"command": sys.executable, "args": ["-c", "print('hello')"]}, "gave no ExecCredential"),
    ],
)
def test_a_program_that_gives_nothing_is_said(wanted: Json, said: str, mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no access to a cluster by the kubeconfig") as raised:
        asked(a_kubeconfig(tmp_path, mirror, {"exec": wanted}))
    assert said in str(raised.value)


def test_a_program_beside_the_kubeconfig_is_found(mirror: Mirror, tmp_path: Path) -> None:
    script = tmp_path / "give"
    script.write_text('#!/bin/sh\necho \'{"kind": "ExecCredential", "status": {"token": "near"}}\'\n')
    script.chmod(0o700)
    assert asked(a_kubeconfig(tmp_path, mirror, {"exec": {"command": "./give"}}))["Authorization"] == ["Bearer near"]


def test_a_connection_is_kept_and_opened_anew_where_the_server_closed_it(mirror: Mirror, tmp_path: Path) -> None:
    server = connected(a_kubeconfig(tmp_path, mirror, {}))
    mirror.hangs_up = 2
    ports = [dict(server.read("/x") or {})["port"] for _ in range(4)]
    assert ports[0] == ports[1]
    assert ports[1] != ports[2]
    assert ports[2] == ports[3]


def test_a_server_may_be_below_a_path(mirror: Mirror, tmp_path: Path) -> None:
    assert asked(a_kubeconfig(tmp_path, mirror, {}, server=f"{mirror.url}/k8s/clusters/c-1/"), "/api")["path"] == "/k8s/clusters/c-1/api"


def test_names_that_no_address_and_no_header_can_have_are_sent_all_the_same_or_refused_in_words(mirror: Mirror, tmp_path: Path) -> None:
    place = a_kubeconfig(tmp_path, mirror, {})
    assert asked(place, "/ä b/%2F")["path"] == "/%C3%A4%20b/%2F"
    assert asked(Place(kubeconfig=place.kubeconfig, impersonated="jürgen…"))["Impersonate-User"] == ["jürgen…".encode().decode("latin-1")]
    with pytest.raises(ServerError, match=r"no answer from the API server .*: Invalid header value"):
        asked(Place(kubeconfig=place.kubeconfig, impersonated="a\nb"))


def test_several_kubeconfigs_are_one_and_the_first_that_says_something_counts(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "config").write_text("current-context: two\nusers: [{name: u, user: {tokenFile: t}}]\n")
    (tmp_path / "a" / "t").write_text("first")
    second = a_kubeconfig(tmp_path / "b", mirror, {"token": "second"})
    whole = json.loads((tmp_path / "b" / "kubeconfig").read_text())
    whole["contexts"].append({"name": "two", "context": {"cluster": "c", "user": "u"}})
    (tmp_path / "b" / "kubeconfig").write_text(json.dumps(whole))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a/config:{tmp_path}/none:{second.kubeconfig}")
    assert asked(Place())["Authorization"] == ["Bearer first"]
    assert (access_of(Place()).namespace, access_of(Place(context="here")).namespace) == ("default", "team-a")
    assert contexts_of(Place()) == ["here", "two"]
    with pytest.raises(KubeconfigError, match="it has no context 'nope'"):
        access_of(Place(context="nope"))


def test_a_pod_without_a_kubeconfig_is_its_own_serviceaccount(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"token": b"mine", "namespace": b"team-p", "ca.crt": mirror.authority}.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("dataflow_operator.cli.kubeconfig.IN_CLUSTER", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ServerError, match=r"by the kubeconfig ~/\.kube/config: there is none"):
        connected(Place())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(mirror.port))
    assert connected(Place()).namespace == "team-p"
    assert asked(Place())["Authorization"] == ["Bearer mine"]


def test_a_proxy_is_gone_through_where_one_is_told_and_only_of_a_known_kind(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerError, match=r"no answer from the API server .*: Connection refused"):
        asked(a_kubeconfig(tmp_path, mirror, {}, **{"proxy-url": "http://127.0.0.1:1"}))
    with pytest.raises(ServerError, match="proxies like socks5:// are not known"):
        asked(a_kubeconfig(tmp_path, mirror, {}, **{"proxy-url": "socks5://127.0.0.1:1"}))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert asked(a_kubeconfig(tmp_path, mirror, {}))["path"] == "/x"


def test_what_gives_no_answer_in_time_is_said(tmp_path: Path, mirror: Mirror) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as silent:
        place = a_kubeconfig(tmp_path, mirror, {}, server=f"https://127.0.0.1:{silent.server_address[1]}")
        with pytest.raises(ServerError, match=r"it took longer than 0\.2 s"):
            asked(Place(kubeconfig=place.kubeconfig, seconds=0.2))


def test_an_address_that_is_none_is_said(tmp_path: Path, mirror: Mirror) -> None:
    place = a_kubeconfig(tmp_path, mirror, {}, server="localhost:8080")
    with pytest.raises(KubeconfigError, match="its server 'localhost:8080' is no address"):
        Channel(access_of(place), place, 1)


def test_the_real_server_knows_who_is_impersonated(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person(door=a_door(api_server.kubeconfig(User.ADMIN), kubectl()), capsys=capsys)
    said = person.types("list", "--as", "vera", "--as-group", "nobody")
    assert (said.code, 'User "vera" cannot list resource' in said.err) == (1, True)
    assert person.types("list", "--as", "root", "--as-group", "system:masters").code == 0


def test_the_official_client_is_not_needed_to_ask_a_cluster(api_server: ApiServer) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "dataflow_operator.cli", "status", "--kubeconfig", str(api_server.kubeconfig())]
    done = subprocess.run(argv, env={"PYTHONPATH": str(ROOT / "operator")}, capture_output=True, text=True, timeout=60, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert loaded & {"kubernetes", "urllib3", "requests", "google.auth", "pydantic", "asyncio", "yaml"} == set()
