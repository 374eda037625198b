"""A publisher and subscriber that speaks plain HTTP, as any client of Pub/Sub's REST does."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import requests

PROJECT = "acme-prod"


def topic_name(topic: str) -> str:
    return f"projects/{PROJECT}/topics/{topic}"


def subscription_name(subscription: str) -> str:
    return f"projects/{PROJECT}/subscriptions/{subscription}"


def as_message(text: str, **attributes: str) -> dict[str, Any]:
    return {"data": base64.b64encode(text.encode()).decode(), "attributes": attributes}


@dataclass(slots=True)
class PubSub:
    """The Pub/Sub at a URL. Calls block: from a test that runs a loop, call in a thread."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        response = self.session.request(verb, f"{self.url}/v1/{path}", json=body, headers=headers, timeout=20)
        return response.status_code, response.json()

    def call(self, verb: str, path: str, body: Any = None, **headers: str) -> Any:
        status, answer = self.ask(verb, path, body, **headers)
        assert status == 200, answer
        return answer

    def create(self, topic: str, *subscriptions: str, **terms: object) -> None:
        """Make a topic and subscriptions of it."""
        self.call("PUT", topic_name(topic), {})
        for subscription in subscriptions:
            self.call("PUT", subscription_name(subscription), {"topic": topic_name(topic), **terms})

    def publish(self, topic: str, *texts: str, **attributes: str) -> list[str]:
        messages = [as_message(text, **attributes) for text in texts]
        return list(self.call("POST", f"{topic_name(topic)}:publish", {"messages": messages})["messageIds"])

    def pull(self, subscription: str, most: int = 1000, **headers: str) -> list[dict[str, Any]]:
        body = {"maxMessages": most, "returnImmediately": True}
        return list(self.call("POST", f"{subscription_name(subscription)}:pull", body, **headers).get("receivedMessages", []))

    def acknowledge(self, subscription: str, received: list[dict[str, Any]]) -> None:
        self.call("POST", f"{subscription_name(subscription)}:acknowledge", {"ackIds": [each["ackId"] for each in received]})


def texts_of(received: list[dict[str, Any]]) -> list[str]:
    return [base64.b64decode(each["message"].get("data", "")).decode() for each in received]
