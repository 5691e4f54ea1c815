"""What people do: publish and read through GraphQL, look for accusations, begin nodes."""

import uuid
from typing import Any

from tests.driver.machine import Machine, Refused
from tests.waiting import PATIENCE_S

PUBLISH = """
mutation Publish($input: PublishNeedInput!) {
  publishNeed(input: $input) { need { id } userErrors { code message field } }
}
"""
ASK_CONTACT = """
mutation Ask($input: RequestRestrictedInput!) { requestRestricted(input: $input) {
  contact { name phone } waiting { since until } userErrors { code message } } }
"""
CONTACTS = """
query Contacts($ids: [ID!]!) {
  nodes(ids: $ids) { id ... on Need { contact { name phone } exactPlace { address } } }
}
"""
NEEDS = """
query Needs($text: String!, $after: String) {
  needs(first: 100, after: $after, filter: {text: $text, states: [OPEN]}) {
    nodes { id title } pageInfo { hasNextPage endCursor }
  }
}
"""
CONTACT = {"name": "Bu Lastri", "phone": "+6281234567890"}
EXACT_PLACE = {"address": "RT 03, rumah kedua setelah musala"}


def begin(machine: Machine, name: str, *more: str) -> str:
    """Return the id of the operator of a node begun on a machine; it runs afterwards."""
    begun = machine.gotong("init", name, "--region", "34.71", *more)
    machine.up()
    return str(begun["id"])


def need(author: str, title: str, **more: Any) -> dict[str, Any]:
    """Return what a need is published with."""
    return {
        "as": author,
        "title": [{"lang": "id", "text": title}],
        "kind": "GOODS",
        "category": "food.rice",
        "quantity": {"value": "25", "unit": "kg"},
        "urgency": "HIGH",
        "place": {"code": "34.71"},
        "modes": ["DONATE"],
        **more,
    }


def token(machine: Machine, author: str, scope: str = "records:write") -> str:
    """Return a token, as the machine's clock has it now."""
    return str(machine.gotong("token", "--as", author, "--scope", scope)["token"])


def publish(machine: Machine, author: str, title: str, *, given: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what a machine answers to somebody who publishes a need, with a new token or one `given` before."""
    told = machine.ask(PUBLISH, given or token(machine, author), input=need(author, title, **more))
    return dict(told["publishNeed"])


def refusal(machine: Machine, author: str, given: str) -> str:
    """Return the code with which a machine refuses what somebody publishes with a token from before."""
    (error,) = publish(machine, author, "Terlambat", given=given)["userErrors"]
    return str(error["code"])


def signed(machine: Machine, author: str, title: str, **more: Any) -> None:
    """Publish a need at once; while the node cannot be sure of its logs yet, ask again: it is kept, and signed once."""
    key = uuid.uuid4().hex

    def is_signed() -> bool:
        answer = publish(machine, author, title, idempotencyKey=key, **more)
        if answer["userErrors"]:
            raise Refused(str(answer["userErrors"]))
        return bool(answer["need"])

    machine.wait(is_signed, PATIENCE_S, f"{title!r} is not published")


def needs(machine: Machine, text: str) -> dict[str, list[str]]:
    """Return the ids of the open needs that a machine answers with, by title."""
    found: dict[str, list[str]] = {}
    after = None
    while True:
        page = machine.ask(NEEDS, text=text, after=after)["needs"]
        for each in page["nodes"]:
            found.setdefault(each["title"], []).append(each["id"])
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def accusations(machine: Machine) -> list[Any]:
    """Return every evidence and every report of a broken rule on a machine."""
    evidence: list[Any] = machine.gotong("evidence", "list")["evidence"]
    reports: list[Any] = machine.gotong("reports")["reports"]
    return evidence + reports
