"""Reading the file of profiles. All of it is checked at start: whoever can write one address too many could have tokens sent there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

import yaml

from dataflow_operator.adapters.identity.exchange import JWT
from dataflow_operator.adapters.identity.modes import GOOGLE, IAM, Endpoints, ModeError, is_e_mail, pool_of
from dataflow_operator.adapters.identity.profiles import AWS_REQUEST, ID_TOKEN, ClientCredentials, Profile, Profiles
from dataflow_operator.adapters.identity.transport import origin_of

IMDS: Final = frozenset({"http://169.254.169.254", "http://[fd00:ec2::254]"})
"""Where an AWS machine is told its credentials. Source: AWS's documentation of the instance metadata service."""

AWS_STS: Final = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
"""What is signed as proof; nobody but Google's STS calls it. Source: Google's external_account for AWS."""

KUBERNETES_TOKENS: Final = (Path("/var/run/secrets"), Path("/run/secrets"))
"""Where a kubelet puts a pod's own tokens: with one of these as its source, every profile would be the operator itself."""

LONGEST_LIFE: Final = timedelta(hours=1)
"""As long as a profile may want its tokens to live. Source: IAM Credentials API, without an organisation's exception."""

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_AUDIENCE: Final = re.compile(
    re.escape(IAM) + r"projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}\.)*[a-z0-9.-]{1,200}(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What is allowed."""

    endpoints: Endpoints
    own_tokens: Sequence[Path]

    @property
    def is_emulated(self) -> bool:
        return self.endpoints != GOOGLE


@dataclass(frozen=True, slots=True)
class _At:
    """An object of the file, and where it stands in it."""

    raw: Mapping[str, object]
    where: str

    def wrong(self, name: str, why: str) -> ModeError:
        return ModeError(f"{self.where}{'.' if name else ''}{name}: {why}")

    def only(self, known: Collection[str]) -> None:
        for name in self.raw:
            if name not in known:
                raise self.wrong(str(name), f"is not known here; known are {', '.join(sorted(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.raw.get(name, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.wrong(name, "must be a text")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.raw.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in cast("list[object]", value)):
            raise self.wrong(name, "must be a list of texts")
        return cast("list[str]", value)

    def inner(self, name: str) -> _At:
        return at(self.raw.get(name), f"{self.where}.{name}")


def at(value: object, where: str) -> _At:
    """Return *value* as an object of the file. ModeError: it is none."""
    if not isinstance(value, dict):
        raise ModeError(f"{where}: must be an object")
    return _At(cast("Mapping[str, object]", value), where)


def read_profiles(path: Path, endpoints: Endpoints = GOOGLE, own_tokens: Sequence[Path] = KUBERNETES_TOKENS) -> Profiles:
    """Return the profiles of a file. ModeError: something of it cannot be used; the message says which profile and which field."""
    try:
        raw: object = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModeError(f"the profiles of {path} cannot be read: {type(error).__name__}") from None  # its text quotes the file
    return profiles_of(raw, endpoints, own_tokens)


def profiles_of(raw: object, endpoints: Endpoints = GOOGLE, own_tokens: Sequence[Path] = KUBERNETES_TOKENS) -> Profiles:
    """Return the profiles of what a file holds. ModeError: something of it cannot be used."""
    rules = _Rules(endpoints=endpoints, own_tokens=own_tokens)
    file = at(raw, "profiles")
    file.only({"profiles"})
    named = at(file.raw.get("profiles"), "profiles")
    if not named.raw:
        raise named.wrong("", "there is none")
    return Profiles(by_name={name: _profile(name, named.inner(name), rules) for name in named.raw}, endpoints=endpoints)


def _profile(name: str, given: _At, rules: _Rules) -> Profile:
    if not _NAME.fullmatch(str(name)):
        raise given.wrong("", "the name is none that an annotation would hold: small letters, digits and dashes, 63 at most")
    given.only({"namespaces", "externalAccount", "oidc", "audience", "googleAccount", "allowedHosts"})
    namespaces = given.texts("namespaces")
    if not namespaces:
        raise given.wrong("namespaces", "must list the namespaces that may use it")
    for namespace in namespaces:
        if not _NAME.fullmatch(namespace) or namespace.startswith("kube-"):
            raise given.wrong("namespaces", f"{namespace!r} is no name of a team's namespace, and patterns are not taken")
    hosts = frozenset(given.texts("allowedHosts"))
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise given.wrong("allowedHosts", f"{host!r} is no host, and patterns are not taken")
    if ("oidc" in given.raw) == ("externalAccount" in given.raw):
        raise given.wrong("", "must have one of externalAccount and oidc")
    return (_oidc if "oidc" in given.raw else _external)(name, given, frozenset(namespaces), hosts, rules)


def _oidc(name: str, given: _At, namespaces: frozenset[str], hosts: frozenset[str], rules: _Rules) -> Profile:
    oidc = given.inner("oidc")
    oidc.only({"tokenUrl", "clientId", "clientSecretFile", "scope"})
    audience, account = _audience_in(given), given.text("googleAccount", "")
    if account and not is_e_mail(account):
        raise given.wrong("googleAccount", "is no e-mail of a Google service account")
    secret_file = _file(oidc, "clientSecretFile", rules)
    return Profile(
        name=name,
        namespaces=namespaces,
        audience=audience,
        pool=IAM + pool_of(audience),
        google_account=account,
        subject_token_type=JWT,
        origins=frozenset({_origin(oidc, "tokenUrl", hosts, rules)}),
        oidc=ClientCredentials(
            token_url=oidc.text("tokenUrl"),
            client_id=oidc.text("clientId"),
            client_secret_file=secret_file,
            scope=oidc.text("scope", ""),
        ),
        is_usable=lambda: _refuse_own_tokens(oidc, "clientSecretFile", secret_file, rules),
    )


def _external(name: str, given: _At, namespaces: frozenset[str], hosts: frozenset[str], rules: _Rules) -> Profile:
    for elsewhere in ("audience", "googleAccount"):
        if elsewhere in given.raw:
            raise given.wrong(elsewhere, "stands in externalAccount")
    external = given.inner("externalAccount")
    external.only(
        {
            "type",
            "audience",
            "subject_token_type",
            "token_url",
            "token_info_url",
            "service_account_impersonation_url",
            "service_account_impersonation",
            "credential_source",
            "universe_domain",
        }
    )
    for field, wanted in (
        ("type", "external_account"),
        ("token_url", rules.endpoints.token_url),
        ("token_info_url", f"{rules.endpoints.sts}/v1/introspect"),
        ("universe_domain", "googleapis.com"),
    ):
        if external.text(field, wanted) != wanted:
            raise external.wrong(field, f"must be {wanted}")
    kind = external.text("subject_token_type")
    if kind not in {JWT, ID_TOKEN, AWS_REQUEST}:
        raise external.wrong("subject_token_type", f"must be {JWT}, {ID_TOKEN} or {AWS_REQUEST}")
    audience, source = _audience_in(external), external.inner("credential_source")
    origins = _aws(source, rules) if kind == AWS_REQUEST else _file_or_url(source, hosts, rules)
    return Profile(
        name=name,
        namespaces=namespaces,
        audience=audience,
        pool=IAM + pool_of(audience),
        google_account=_impersonated(external, rules),
        life=_life(external),
        subject_token_type=kind,
        origins=origins,
        credential_source=source.raw,
        is_usable=lambda: _refuse_own_tokens(source, "file", Path(source.text("file")), rules) if "file" in source.raw else None,
    )


def _audience_in(given: _At) -> str:
    audience = given.text("audience")
    if not _AUDIENCE.fullmatch(audience):
        raise given.wrong("audience", f"must be {IAM}projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME")
    return audience


def _impersonated(external: _At, rules: _Rules) -> str:
    """Return the Google account that the impersonation URL names, if there is one."""
    url = external.text("service_account_impersonation_url", "")
    account = url.removesuffix(":generateAccessToken").rpartition("/")[2]
    if url and (not is_e_mail(account) or url != rules.endpoints.impersonation_url(account)):
        raise external.wrong("service_account_impersonation_url", f"must be {rules.endpoints.impersonation_url('E-MAIL')}")
    return account if url else ""


def _life(external: _At) -> timedelta | None:
    if "service_account_impersonation" not in external.raw:
        return None
    options = external.inner("service_account_impersonation")
    options.only({"token_lifetime_seconds"})
    seconds = options.raw.get("token_lifetime_seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not timedelta(minutes=10) <= timedelta(seconds=seconds) <= LONGEST_LIFE:
        raise options.wrong("token_lifetime_seconds", "must be a number from 600 to 3600")
    return timedelta(seconds=seconds)


def _file_or_url(source: _At, hosts: frozenset[str], rules: _Rules) -> frozenset[str]:
    """Return what may be spoken to for a token that a file or an address holds."""
    for refused in ("executable", "certificate"):
        if refused in source.raw:
            raise source.wrong(refused, "is refused: the operator runs no programs and holds no keys for a profile")
    source.only({"file", "url", "headers", "format"})
    if ("file" in source.raw) == ("url" in source.raw):
        raise source.wrong("", "must have one of file and url")
    if "format" in source.raw:
        _check_format(source.inner("format"))
    if "file" in source.raw:
        if "headers" in source.raw:
            raise source.wrong("headers", "are for a url")
        _file(source, "file", rules)
        return frozenset()
    if "headers" in source.raw:
        headers = source.inner("headers")
        for header in headers.raw:
            if not headers.text(header).isprintable():
                raise headers.wrong(header, "must be one line")
    return frozenset({_origin(source, "url", hosts, rules)})


def _check_format(form: _At) -> None:
    form.only({"type", "subject_token_field_name"})
    if form.text("type") not in {"text", "json"}:
        raise form.wrong("type", "must be text or json")
    if form.text("type") == "json":
        form.text("subject_token_field_name")


def _aws(source: _At, rules: _Rules) -> frozenset[str]:
    """Return where an AWS machine is told its credentials."""
    source.only({"environment_id", "region_url", "url", "imdsv2_session_token_url", "regional_cred_verification_url"})
    for name, wanted in (("environment_id", "aws1"), ("regional_cred_verification_url", AWS_STS)):
        if source.text(name) != wanted:
            raise source.wrong(name, f"must be {wanted}")
    origins = set[str]()
    for name, path in (
        ("region_url", "/latest/meta-data/placement/availability-zone"),
        ("url", "/latest/meta-data/iam/security-credentials"),
        ("imdsv2_session_token_url", "/latest/api/token"),
    ):
        url = source.text(name)
        origin = origin_of(url) or ""
        if (origin not in IMDS and not (rules.is_emulated and origin == rules.endpoints.sts)) or url != f"{origin}{path}":
            raise source.wrong(name, f"must be {min(IMDS)}{path}, or the same by IPv6")
        origins.add(origin)
    return frozenset(origins)


def _origin(given: _At, name: str, hosts: frozenset[str], rules: _Rules) -> str:
    """Return scheme and host of an address that may be spoken to."""
    url = given.text(name)
    origin = origin_of(url)
    if origin is None or not url.isprintable() or not url.isascii() or " " in url or "\\" in url:
        raise given.wrong(name, "is no address")
    if rules.is_emulated and origin == rules.endpoints.sts:
        return origin
    scheme, _, host = origin.partition("://")
    if scheme != "https":
        raise given.wrong(name, "must be https")
    if host not in hosts:
        raise given.wrong(name, f"{host} is none of the profile's allowedHosts")
    return origin


def _file(given: _At, name: str, rules: _Rules) -> Path:
    path = Path(given.text(name))
    _refuse_own_tokens(given, name, path, rules)
    return path


def _refuse_own_tokens(given: _At, name: str, path: Path, rules: _Rules) -> None:
    if not path.is_absolute() or ".." in path.parts:
        raise given.wrong(name, "must be an absolute path")
    for own in rules.own_tokens:
        if any(tried.is_relative_to(root) for tried in (path, path.resolve()) for root in (own, own.resolve())):
            raise given.wrong(name, "is where the operator's own tokens are: whoever may use the profile would be the operator")
