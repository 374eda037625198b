"""Every secret there is in a platform with tenants, and trouble of every kind that could make a program repeat one."""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.e2e.middleman import Asked, Given, Middleman
from typing_extensions import override

from dataflow_local.platform import Engine, Platform
from dataflow_local.users import OPERATOR_NAMESPACE, User

PIECE = 20
"""So many characters of a secret in a row are enough to find it: a text that was cut counts, and none has as many by chance."""

HUGE = 1024 * 1024

KUBERNETES_TOKEN, FEDERATED, GOOGLE_TOKEN = "a Kubernetes token", "a federated token", "a Google token"
"""What most secrets are."""

CLOUD_TROUBLE = (
    "sts-description",
    "sts-page",
    "sts-huge",
    "sts-no-expiry",
    "sts-word",
    "sts-header",
    "iam-message",
    "iam-garbage",
    "iam-page",
    "iam-odd-time",
)
"""Names of ServiceAccounts, each after what Google does to it: an answer that repeats what it was given."""

CLUSTER_TROUBLE = ("token-cut", "token-page", "token-list", "token-other")
"""Names of ServiceAccounts, each after what an API server, or a proxy before it, does to their TokenRequests."""


@dataclass(slots=True)
class Canaries:
    """Secrets, each with what it is. A secret is looked for by pieces of it."""

    found: dict[str, str] = field(default_factory=dict[str, str])
    """From a piece to what it is of."""

    def learn(self, what: str, secret: str) -> None:
        """Look for this from now on."""
        # The header of a JWT is the same in all of them, and no secret.
        for part in secret.split(".")[1:] if secret.startswith("eyJ") else [secret]:
            for piece in {part[:PIECE], part[len(part) // 2 :][:PIECE], part[-PIECE:]}:
                if len(piece) >= PIECE:
                    self.found[piece] = what

    def learn_password(self, what: str, user: str, password: str) -> None:
        """Look for a password, and for it as a header has it."""
        self.learn(what, password)
        self.learn(f"{what}, in base64", base64.b64encode(f"{user}:{password}".encode()).decode())

    def in_text(self, text: str) -> list[str]:
        """Return what stands in a text."""
        return sorted({f"{what}: …{text[max(text.index(piece) - 160, 0) :][:400]}" for piece, what in self.found.items() if piece in text})


def claims(token: str) -> dict[str, Any]:
    """Return what a token says."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


class Google(Middleman):
    """In front of the token service and of IAM Credentials: learns every token, and repeats what it was given where the account's name says so."""

    def __init__(self, target: str, canaries: Canaries) -> None:
        self.canaries = canaries
        self.struck = set[str]()
        super().__init__(target, self._answer_of)

    def _answer_of(self, asked: Asked, truth: Any) -> Given:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode(errors="replace")).items()}
        if subject := form.get("subject_token"):
            self.canaries.learn(KUBERNETES_TOKEN, subject)
        kind, _, bearer = asked.headers.get("Authorization", "").partition(" ")
        if bearer:
            self.canaries.learn(FEDERATED if kind == "Bearer" else "a password", bearer)
        true: Given = truth()
        body = json.loads(true.body)
        for name in ("access_token", "accessToken"):
            if token := body.get(name):
                self.canaries.learn(GOOGLE_TOKEN, token)
        who = str(claims(subject)["sub"]).rpartition(":")[2] if subject else asked.path.rpartition("/")[2].partition("@")[0]
        known = subject or bearer
        answer = trouble_of(who, known, body) if (who.startswith("sts-") and subject) or (who.startswith("iam-") and not subject) else None
        if answer is not None:
            self.struck.add(who)
        return answer or true


def trouble_of(who: str, known: str, body: dict[str, Any]) -> Given | None:
    """Return what is answered to an account of this name by one that knows a token; None: the truth."""
    text, said = json.dumps(body), dict[str, Any]()
    page = f"<html><body>Your request was: Authorization: Bearer {known}\nsubject_token={known} and got {text}</body></html>"
    match who:
        case "sts-description":
            said = {"error": "invalid_grant", "error_description": f"The token {known} is not good (subject_token={known})."}
            return Given(status=400, body=json.dumps(said).encode())
        case "sts-word":
            return Given(status=400, body=json.dumps({"error": known, "error_description": known[3:]}).encode())
        case "sts-page" | "iam-page":
            return Given(status=502, body=page.encode(), headers={"Content-Type": "text/html"})
        case "sts-huge":
            return Given(status=200, body=text.encode()[:-1] + b', "echo": "' + (known.encode() * (HUGE // len(known))) + b'"}')
        case "sts-no-expiry":
            return Given(status=200, body=json.dumps({key: value for key, value in body.items() if key != "expires_in"}).encode())
        case "sts-header":
            return Given(status=401, body=b"", headers={"WWW-Authenticate": f"Bearer {known}", "Retry-After": known})
        case "iam-message":
            said = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": f"Bearer {known} may not, and {text} neither"}}
            return Given(status=403, body=json.dumps(said).encode())
        case "iam-garbage":
            return Given(status=200, body=text.encode() + b" trailing", headers={"Content-Type": "application/json"})
        case "iam-odd-time":
            return Given(status=200, body=json.dumps({**body, "expireTime": body.get("accessToken", "")}).encode())
        case _:
            return None


class Cluster(Middleman):
    """In front of the API server: spoils TokenRequests where the account's name says so, and repeats the operator's own token where a pipeline's does."""

    def __init__(self, platform: Platform, canaries: Canaries) -> None:
        self.canaries = canaries
        self.struck = set[str]()
        super().__init__(platform.api.url, self._answer_of, trust=ssl.create_default_context(cafile=str(platform.api.authority)))

    def _answer_of(self, asked: Asked, truth: Any) -> Given:
        own = asked.headers.get("Authorization", "")
        name = asked.path.partition("?")[0].removesuffix("/status").removesuffix("/token").rpartition("/")[2]
        if name == "proxied" and asked.method == "PATCH":
            self.struck.add(name)
            return Given(status=502, body=f"<pre>{asked.method} {asked.path}\nAuthorization: {own}</pre>".encode())
        true: Given = truth()
        if name.startswith("surprising") and asked.method == "PATCH":
            self.struck.add("surprising")
            # The status as it was written: what is not kept of it would be no surprise.
            return Given(status=200, body=json.dumps({**json.loads(true.body), "metadata": own, "spec": own}).encode())
        if not asked.path.endswith("/token"):
            return true
        body = json.loads(true.body)
        token = body.get("status", {}).get("token", "")
        self.canaries.learn(KUBERNETES_TOKEN, token)
        answer = self._spoilt(name, token, body, true, own)
        if answer is not None:
            self.struck.add(name)
        return answer or true

    def _spoilt(self, name: str, token: str, body: dict[str, Any], true: Given, own: str) -> Given | None:
        match name:
            case "token-cut":
                return Given(status=201, body=b'{"status": {"token": "' + token.encode())
            case "token-list":
                return Given(status=201, body=json.dumps([token, body]).encode(), headers=true.headers)
            case "token-page":
                return Given(status=500, body=f"Authorization: {own}, for {token}".encode())
            case "token-other":
                spoilt = ".".join([*token.split(".")[:1], "e30", *token.split(".")[2:]])
                return Given(status=201, body=json.dumps({**body, "status": {**body["status"], "token": spoilt}}).encode())
            case _:
                return None


class Watched(Platform):
    """A platform with tenants, whose operator speaks to Google and to the API server through somebody who sees and spoils, and logs all it can."""

    def __init__(self, folder: Path, canaries: Canaries) -> None:
        super().__init__(folder, engine=Engine.SIMULATED, has_tenants=True)
        self.canaries = canaries
        self.flags: tuple[str, ...] = ("--log-format=json",)
        self.google: Google | None = None
        self.cluster: Cluster | None = None

    @override
    def operator_command(self) -> list[str]:
        """Return how the operator is started: through the middlemen, as one of several replicas."""
        if self.google is None or self.cluster is None:
            for user in User:
                self.canaries.learn(f"the token of {user}", self.api.token(user))
            self.google, self.cluster = Google(self.rest, self.canaries), Cluster(self, self.canaries)
            self._open.callback(self.google.close)
            self._open.callback(self.cluster.close)
        config = json.loads(self.api.kubeconfig(User.OPERATOR).read_text())
        config["clusters"][0]["cluster"] = {"server": self.cluster.url}
        kubeconfig = self.folder / "kubeconfig-through-the-middle"
        kubeconfig.write_text(json.dumps(config))
        has_profiles = any(flag.startswith("--profiles=") for flag in self.flags)
        return [
            *(flag for flag in super().operator_command() if not (has_profiles and flag.startswith("--workload-identity-provider="))),
            f"--kubeconfig={kubeconfig}",
            f"--identity-endpoint={self.google.url}",
            "--log-level=DEBUG",
            "--leader-election=true",
            f"--lease-namespace={OPERATOR_NAMESPACE}",
            "--relist-seconds=5",
            "--recheck-seconds=5",
            *self.flags,
        ]
