"""Reads the configuration from JSON; what it does not understand it refuses, and says where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, cast

import jwt

from dataflow_emulator.identity.configuration import (
    ALGORITHMS,
    Aws,
    AwsKey,
    Client,
    Cluster,
    Configuration,
    Instance,
    Issuer,
    Oidc,
    Policy,
    Provider,
    Source,
)
from dataflow_emulator.identity.expressions import Expression, expression
from dataflow_emulator.identity.permissions import ACCOUNT_ROLES, PROJECT_ROLES
from dataflow_emulator.identity.principals import HOST
from dataflow_emulator.identity.reading import ConfigurationError, Place

_POOL: Final = r"projects/\d+/locations/global/workloadIdentityPools/[a-z][a-z0-9-]{2,31}"
_CLUSTER_POOL: Final = r"[a-z0-9.:-]+\.svc\.id\.goog"
_MEMBER: Final = (
    r"(principal|principalSet)://iam\.googleapis\.com/projects/\d+/locations/global/workloadIdentityPools/[^/]+/.+"
    r"|serviceAccount:[^\s\[\]]+(\[[a-z0-9.-]+/[a-z0-9.-]+\])?"
)
"""Who can be granted something here. A user or a group is nobody that could call."""

_EMAIL: Final = r"[A-Za-z0-9-]+@[A-Za-z0-9.-]+\.gserviceaccount\.com"
_OWN_ISSUER: Final = re.compile(r"(?:http://(?:127\.0\.0\.1|localhost|\[::1\]):\d+)?/oauth2/(?P<name>[a-z0-9-]+)")
_ATTRIBUTE: Final = re.compile(r"google\.subject|attribute\.[a-z0-9_]{1,100}")

_AWS_MAPPING: Final = {
    "google.subject": "assertion.arn",
    "attribute.aws_role": (
        "assertion.arn.contains('assumed-role')"
        " ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/')"
        " : assertion.arn"
    ),
}
"""The mapping of an AWS provider that has none of its own. Source: IAM's reference of WorkloadIdentityPoolProvider."""


def configuration(given: object) -> Configuration:
    """Read a configuration from what JSON holds; `ConfigurationError` says what is wrong and where."""
    fields = Place(given).fields(
        may=("pools", "clusters", "serviceAccounts", "projects", "issuers", "awsInstance", "clockSkewSeconds"),
    )
    issuers = dict(_issuer(place) for place in _items(fields, "issuers"))
    providers = [provider for place in _items(fields, "pools") for provider in _pool(place, frozenset(issuers))]
    clusters = [_cluster(place, frozenset(issuers)) for place in _items(fields, "clusters")]
    all_: list[Source] = [*providers, *clusters]
    sources: dict[str, Source] = {}
    for source in all_:
        if source.audience in sources:
            raise ConfigurationError(f"identity: there are two of {source.audience}")
        sources[source.audience] = source
    keys = {id_: key for each in providers if isinstance(each.trusts, Aws) for id_, key in each.trusts.keys.items()}
    skew = fields["clockSkewSeconds"].number() if "clockSkewSeconds" in fields else 0.0
    return Configuration(
        sources=sources,
        accounts=_policy(fields.get("serviceAccounts"), ACCOUNT_ROLES, _EMAIL),
        projects=_policy(fields.get("projects"), PROJECT_ROLES, r"[a-z0-9.:-]+"),
        issuers=issuers,
        instance=_instance(fields["awsInstance"], keys) if "awsInstance" in fields else None,
        skew=timedelta(seconds=skew),
        text=cast("Mapping[str, object]", given),
    )


def _items(fields: Mapping[str, Place], name: str) -> list[Place]:
    return fields[name].items() if name in fields else []


def _pool(place: Place, issuers: frozenset[str]) -> Iterator[Provider]:
    fields = place.fields("name", "providers")
    pool = fields["name"].text(_POOL)
    for each in fields["providers"].items():
        yield _provider(each, pool, issuers)


def _provider(place: Place, pool: str, issuers: frozenset[str]) -> Provider:
    fields = place.fields("name", may=("disabled", "oidc", "aws", "attributeMapping", "attributeCondition"))
    if ("oidc" in fields) is ("aws" in fields):
        raise place.wrong("exactly one of 'oidc' and 'aws' is expected")
    name = f"//{HOST}/{pool}/providers/{fields['name'].text('[a-z0-9-]{4,32}|aws')}"
    mapping = _mapping(fields.get("attributeMapping"), dict(_AWS_MAPPING) if "aws" in fields else {})
    if "google.subject" not in mapping:
        raise place.wrong("attributeMapping has to say what google.subject is")
    condition = fields.get("attributeCondition")
    return Provider(
        pool=pool,
        name=name,
        is_disabled="disabled" in fields and fields["disabled"].truth(),
        trusts=_oidc(fields["oidc"], issuers) if "oidc" in fields else _aws(fields["aws"]),
        audiences=frozenset(_audiences(fields.get("oidc"))) or frozenset({name, f"https:{name}"}),
        mapping=mapping,
        condition=None if condition is None else _read(condition, "assertion", "attribute", "google"),
    )


def _audiences(oidc: Place | None) -> Iterator[str]:
    given = None if oidc is None else dict(oidc.entries()).get("allowedAudiences")
    for place in [] if given is None else given.items():
        yield place.text()


def _mapping(place: Place | None, otherwise: Mapping[str, str]) -> Mapping[str, Expression]:
    entries = [(key, Place(text)) for key, text in otherwise.items()] if place is None else place.entries()
    for key, each in entries:
        if not _ATTRIBUTE.fullmatch(key):
            raise each.wrong("google.subject or attribute.NAME is expected")
    return {key: _read(each, "assertion") for key, each in entries}


def _read(place: Place, *variables: str) -> Expression:
    return place.read(lambda text: expression(text, frozenset(variables)))


def _oidc(place: Place, issuers: frozenset[str]) -> Oidc:
    fields = place.fields("issuerUri", may=("jwks", "allowedAudiences"))
    issuer = fields["issuerUri"].text()
    if "jwks" in fields:
        return Oidc(issuer=issuer, keys=_keys(fields["jwks"]))
    own = _OWN_ISSUER.fullmatch(issuer)
    if own is None or own["name"] not in issuers:
        raise place.wrong(
            "'jwks' is missing: keys are fetched from nowhere; only an issuer of this configuration (/oauth2/NAME) needs none"
        )
    return Oidc(issuer=issuer, keys={}, own=own["name"])


def _keys(place: Place) -> Mapping[str, jwt.PyJWK]:
    return dict(_key(each) for each in place.fields("keys")["keys"].items())


def _key(place: Place) -> tuple[str, jwt.PyJWK]:
    fields = dict(place.entries())
    if "kid" not in fields:
        raise place.wrong("'kid' is missing")
    try:
        key = jwt.PyJWK.from_dict(cast("dict[str, Any]", place.value))
    except jwt.PyJWTError as error:
        raise place.wrong(f"this is no key: {error}") from error
    if key.algorithm_name not in ALGORITHMS:
        raise place.wrong(f"a key for {' or '.join(ALGORITHMS)} is expected, not for {key.algorithm_name}")
    return fields["kid"].text(), key


def _aws(place: Place) -> Aws:
    fields = place.fields("accountId", may=("keys",))
    account = fields["accountId"].text(r"\d{12}")
    keys = fields["keys"].entries() if "keys" in fields else []
    return Aws(account_id=account, keys={id_: _aws_key(each) for id_, each in keys})


def _aws_key(place: Place) -> AwsKey:
    fields = place.fields("secret", "arn", may=("userId", "sessionToken"))
    return AwsKey(
        secret=fields["secret"].text(),
        arn=fields["arn"].text(r"arn:aws:(iam|sts)::\d{12}:.+"),
        user_id=fields["userId"].text() if "userId" in fields else "",
        session_token=fields["sessionToken"].text() if "sessionToken" in fields else "",
    )


def _cluster(place: Place, issuers: frozenset[str]) -> Cluster:
    fields = place.fields("pool", "projectNumber", "provider", "issuerUri", may=("jwks",))
    oidc = {name: fields[name].value for name in ("issuerUri", "jwks") if name in fields}
    return Cluster(
        pool=fields["pool"].text(_CLUSTER_POOL),
        project_number=fields["projectNumber"].text(r"\d+"),
        provider=fields["provider"].text(r"https://\S+"),
        trusts=_oidc(Place(oidc, place.where), issuers),
    )


def _policy(place: Place | None, roles: Mapping[str, frozenset[str]], form: str) -> Policy:
    grants: dict[str, dict[str, frozenset[str]]] = {}
    for resource, bindings in [] if place is None else place.entries():
        if not re.fullmatch(form, resource):
            raise bindings.wrong(f"a name like {form} is expected")
        allowed = grants.setdefault(resource, {})
        for role, members in bindings.entries():
            if role not in roles:
                raise members.wrong(f"this role means nothing here; {', '.join(roles)} do")
            named = frozenset(member.text(_MEMBER) for member in members.items())
            allowed |= {permission: allowed.get(permission, frozenset()) | named for permission in roles[role]}
    return Policy(grants=grants)


def _issuer(place: Place) -> tuple[str, Issuer]:
    fields = place.fields("name", "clients", may=("audience", "lifeSeconds"))
    clients = {id_: each.fields("secret", "subject") for id_, each in fields["clients"].entries()}
    issuer = Issuer(
        clients={id_: Client(secret=each["secret"].text(), subject=each["subject"].text()) for id_, each in clients.items()},
        audience=fields["audience"].text() if "audience" in fields else "api://default",
        life=timedelta(seconds=fields["lifeSeconds"].number() if "lifeSeconds" in fields else 3600),
    )
    return fields["name"].text(r"[a-z0-9-]+"), issuer


def _instance(place: Place, keys: Mapping[str, AwsKey]) -> Instance:
    fields = place.fields("region", "role", "accessKeyId")
    key_id = fields["accessKeyId"].text()
    if key_id not in keys:
        raise fields["accessKeyId"].wrong("no AWS provider of this configuration has this key")
    return Instance(region=fields["region"].text(r"[a-z0-9-]+"), role=fields["role"].text(r"[\w+=,.@-]+"), key_id=key_id, key=keys[key_id])
