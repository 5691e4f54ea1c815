"""An organization's own name is the abuse: what its node's operator can do, and that nothing of it is shown then."""

import pytest

from domain.ids import parse_uri
from federation.lifecycle.moving import let_go, take_back
from federation.moderation.suppress import ParticipantNotSuppressible, set_suppressed
from federation.moderation.trust import ParticipantHostedHere, set_participant_trust
from tests.api.conftest import Served
from tests.api.test_writing import PUBLISH, need, published

SHOWN = """
query ($id: ID!) {
  organization(id: $id) { name }
  node(id: $id) { id }
  organizations { nodes { id } hiddenByTrust { count } }
  needs { nodes { title publisher { name } } hiddenByTrust { count } }
  changes { nodes { recordId } hiddenByTrust { count } }
}
"""


async def test_a_guest_whose_name_is_the_abuse_is_let_go_and_blocked(served: Served) -> None:
    scid, database = served.guest.scid, served.node.database
    await published(served)
    before = (await served.ask(SHOWN, id=served.organization))["data"]
    assert before["organization"] is not None
    with pytest.raises(ParticipantNotSuppressible, match="lets it go"):
        await set_suppressed(
            database, parse_uri(served.organization), suppressed=True, actor="uji", now=served.node.clock()
        )
    with pytest.raises(ParticipantHostedHere):
        await set_participant_trust(database, scid, "blocked", actor="uji")

    await let_go(database, served.node.appender.vault, scid, lambda _: None)
    await set_participant_trust(database, scid, "blocked", actor="uji", reason="menghina orang")
    shown = (await served.ask(SHOWN, id=served.organization))["data"]
    assert shown["organization"] is shown["node"] is None
    assert served.organization not in [each["id"] for each in shown["organizations"]["nodes"]]
    assert shown["needs"] == {"nodes": [], "hiddenByTrust": {"count": 1}}
    assert not [each for each in shown["changes"]["nodes"] if scid in each["recordId"]]
    assert shown["changes"]["hiddenByTrust"] == {"count": 2}  # its name and its need
    refused = await served.ask(PUBLISH, served.token(), input=need(served))
    assert [error["code"] for error in refused["data"]["publishNeed"]["userErrors"]] == ["PARTICIPANT_MOVED"]

    await take_back(database, served.node.keys, scid)
    again = (await served.ask(SHOWN, id=served.organization))["data"]
    assert again["organization"] == before["organization"]
