"""How the emulator is told of identities, and that what it does not understand is refused with the place where it stands."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import requests
from tests.emulator.emulator_process import an_emulator
from tests.emulator.identity_world import POOL, A, Google, Key, email, headers, identity, jobs, principal

from dataflow_emulator.__main__ import main
from dataflow_emulator.emulator import Emulator
from dataflow_emulator.identity.expressions import ExpressionError, NoValueError, expression
from dataflow_emulator.identity.reader import configuration
from dataflow_emulator.identity.reading import ConfigurationError
from dataflow_emulator.settings import Settings
from dataflow_local.cache import ROOT

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key()
PLACE = "identity.pools[0].providers[0]"


FIRST = ("pools", 0, "providers", 0)
GONE = object()
"""The value of a field that is left out."""


def changed(path: tuple[str | int, ...], value: object) -> Any:
    """A configuration with one thing in it changed."""
    given: Any = copy.deepcopy(identity(KEY))
    place = given
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return given


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("pool",), [], "identity: 'pool' is not known"),
        (("pools",), {}, "identity.pools: a list is expected"),
        (("pools", 0, "name"), "projects/acme/pools/x", "identity.pools[0].name: a text like"),
        (("pools",), identity(KEY)["pools"] * 2, f"there are two of //iam.googleapis.com/{POOL}"),
        ((*FIRST, "name"), GONE, f"{PLACE}: 'name' is missing"),
        ((*FIRST, "oidc"), GONE, f"{PLACE}: exactly one of 'oidc' and 'aws'"),
        ((*FIRST, "disabled"), "no", f"{PLACE}.disabled: true or false"),
        ((*FIRST, "oidc", "jwks"), GONE, f"{PLACE}.oidc: 'jwks' is missing"),
        ((*FIRST, "oidc", "jwks"), {"keys": [{"kty": "RSA"}]}, f"{PLACE}.oidc.jwks.keys[0]: 'kid' is missing"),
        ((*FIRST, "oidc", "jwks"), {"keys": [{"kty": "RSA", "kid": "x"}]}, "keys[0]: this is no key"),
        ((*FIRST, "oidc", "jwks"), {"keys": [{"kty": "oct", "kid": "x", "k": "eA"}]}, "RS256 or ES256"),
        ((*FIRST, "oidc", "allowedAudiences"), "x", f"{PLACE}.oidc.allowedAudiences: a list"),
        ((*FIRST, "attributeMapping"), {}, f"{PLACE}: attributeMapping has to say"),
        ((*FIRST, "attributeMapping", "subject"), "assertion.sub", ".attributeMapping.subject: google.subject"),
        ((*FIRST, "attributeMapping", "attribute.x"), "lower(assertion.sub)", "attribute.x: 'lower' is not"),
        ((*FIRST, "attributeMapping", "attribute.x"), "attribute.namespace", "attribute.x: 'attribute' is not"),
        ((*FIRST, "attributeCondition"), "assertion.sub.matches('x')", f"{PLACE}.attributeCondition: matches()"),
        ((*FIRST, "attributeCondition"), "size(assertion) > 3", "attributeCondition: "),
        ((*FIRST, "attributeCondition"), "(" * 3000, "nested too deeply"),
        ((*FIRST, "attributeCondition"), "x" * 5000, "4096 are the most"),
        (("serviceAccounts", "me"), {}, "identity.serviceAccounts.me: a name like"),
        (("serviceAccounts", email(A), "roles/owner"), [], "roles/owner: this role means nothing here"),
        (("projects", "project-team-a", "roles/iam.serviceAccountUser"), [], "this role means nothing here"),
        (
            ("projects", "project-team-a", "roles/dataflow.viewer"),
            ["user:me@example.com"],
            "identity.projects.project-team-a.roles/dataflow.viewer[0]: a text like",
        ),
        (("clockSkewSeconds",), "5", "identity.clockSkewSeconds: a number"),
        (("clusters",), [{"pool": "x"}], "identity.clusters[0]: 'projectNumber' is missing"),
        (("awsInstance",), {"region": "r", "role": "r", "accessKeyId": "K"}, "accessKeyId: no AWS provider"),
        (("issuers",), [{"name": "okta", "clients": {"c": {"secret": "s"}}}], "clients.c: 'subject' is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(path: tuple[str | int, ...], value: object, says: str) -> None:
    configuration(identity(KEY))
    with pytest.raises(ConfigurationError) as caught:
        configuration(changed(path, value))
    assert says in str(caught.value)


def test_the_example_in_the_docs_is_a_configuration() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (example,) = re.findall(r"^```\n(\{\"pools\".*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(configuration(json.loads(example)).sources) == 2


@pytest.mark.parametrize("given", [None, [], 3, "x"])
def test_what_is_no_object_is_no_configuration(given: object) -> None:
    with pytest.raises(ConfigurationError, match="identity: an object is expected"):
        configuration(given)


SCOPE = {
    "assertion": {"sub": "a:b", "n": 3, "yes": True, "list": ["x", 1], "kubernetes.io": {"namespace": "t"}},
    "google": {"subject": "s"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("assertion.sub", "a:b"),
        ("assertion['kubernetes.io'].namespace", "t"),
        ('assertion["sub"] == "a:b"', True),
        ("assertion.n == 3 && assertion.n != 4", True),
        ("assertion.yes == 1", False),
        ("'x' in assertion.list && !(2 in assertion.list)", True),
        ("'sub' in assertion", True),
        ("assertion.list[1] == 1", True),
        ("has(assertion.sub) && !has(assertion.none) && !has(assertion.none.deeper)", True),
        ("assertion.none == 'x' || true", True),
        ("true || assertion.none == 'x'", True),
        ("assertion.none == 'x' && false", False),
        ("false && assertion.none == 'x'", False),
        ("assertion.yes ? 'a' + 'b' : assertion.none", "ab"),
        ("assertion.sub.startsWith('a') && assertion.sub.endsWith('b') && assertion.sub.contains(':')", True),
        ("assertion.sub.extract('{first}:')", "a"),
        ("assertion.sub.extract('a:{rest}')", "b"),
        ("assertion.sub.extract('x/{rest}')", ""),
        ("assertion.sub.extract('{first}/')", ""),
        ("'it\\'s'", "it's"),
        ("google.subject in ['r', 's']", True),
        ("null == null", True),
    ],
)
def test_an_expression_has_the_value_that_cel_gives_it(text: str, value: object) -> None:
    assert expression(text, frozenset(SCOPE)).value(SCOPE) == value


@pytest.mark.parametrize(
    "text",
    [
        "assertion.none",
        "assertion.none && true",
        "assertion.n && true",
        "'a' + 1",
        "1 in 'x'",
        "!assertion.n",
        "assertion.sub.extract('x')",
    ],
)
def test_an_expression_without_a_value_says_so(text: str) -> None:
    with pytest.raises(NoValueError):
        expression(text, frozenset(SCOPE)).value(SCOPE)


@pytest.mark.parametrize(
    "text",
    ["", "x", "size(assertion)", "assertion.n > 3", "assertion.", "'x", "1 2", "has(assertion)", "has('x')", "[1", "(1", "a ? b", "1 +"],
)
def test_what_is_not_understood_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        expression(text, frozenset(SCOPE))


async def test_the_admin_api_shows_changes_and_forgets_identities(tmp_path: Path) -> None:
    async with Emulator(Settings(root=tmp_path)) as emulator, aiohttp.ClientSession(emulator.rest_url) as http:
        google = Google(emulator, http)
        assert await google.get("/emulator/identity") == (200, None)
        assert (await google.get(jobs(A)))[0] == 200
        assert (await google.put_identity(identity(KEY)))[0] == 200
        assert await google.get("/emulator/identity") == (200, identity(KEY))
        assert (await google.get(jobs(A)))[0] == 401
        status, body = await google.put_identity({"pools": 3})
        assert (status, body["error"]["message"]) == (400, "identity.pools: a list is expected")
        assert (await google.get(jobs(A)))[0] == 401
        async with http.post("/emulator/reset") as answer:
            assert answer.status == 200
        assert (await google.get(jobs(A)))[0] == 401
        assert (await google.get("/emulator/health"))[0] == 200


def test_a_process_is_told_of_identities_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "identity.json"
    given = identity(KEY)
    given["projects"]["project-team-a"] = {"roles/dataflow.viewer": [principal(A)]}
    file.write_text(json.dumps(given))
    with an_emulator(tmp_path, "--identity", str(file)) as emulator:
        assert requests.get(emulator.rest + jobs(A), timeout=20).status_code == 401
        form = Google.form(KEY.token())
        bearer = requests.post(emulator.rest + "/v1/token", data=form, timeout=20).json()["access_token"]
        assert requests.get(emulator.rest + jobs(A), headers=headers(bearer), timeout=20).json() == {}


@pytest.mark.parametrize(
    ("content", "says"), [("{", "Expecting property name"), ('{"pools": 3}', "identity.pools: a list is expected"), ("[]", "an object")]
)
def test_a_process_does_not_start_with_a_file_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    file = tmp_path / "identity.json"
    file.write_text(content)
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path / "root"), "--identity", str(file)])
    told = capsys.readouterr().err
    assert f"--identity {file}: " in told
    assert says in told
