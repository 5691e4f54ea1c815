"""Documents named by their hash, as GraphQL over HTTP drafts them and as Apollo's clients do."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from api import documents as documents_module
from api.documents import Documents
from tests.api.conftest import Served

QUERY = "query ($n: Int) { needs(first: $n) { nodes { id } } }"
HASH = hashlib.sha256(QUERY.encode()).hexdigest()
STRICT = {"accept": "application/graphql-response+json"}


async def get(served: Served, **params: Any) -> httpx.Response:
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    return await served.http.get(served.url, params=given, headers=STRICT)


def code(response: httpx.Response) -> str:
    found: str = response.json()["errors"][0]["extensions"]["code"]
    return found


async def test_a_document_sent_once_is_asked_by_its_hash_with_variables_and_a_tag(served: Served) -> None:
    unknown = await get(served, documentId=f"sha256:{HASH}")
    assert (unknown.status_code, code(unknown)) == (400, "PERSISTED_DOCUMENT_NOT_FOUND")
    sent = {"documentId": f"sha256:{HASH}", "query": QUERY}
    assert "data" in (await served.http.post(served.url, json=sent)).json()
    known = await get(served, documentId=f"sha256:{HASH}", variables={"n": 3})
    assert known.json()["data"] == {"needs": {"nodes": []}}
    assert known.headers["etag"]
    assert known.json()["extensions"]["cost"]["requested"] == 4


async def test_apollos_clients_are_answered_in_their_words(served: Served) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": HASH}}
    unknown = await get(served, extensions=extensions)
    assert (unknown.json()["errors"][0]["message"], code(unknown)) == (
        "PersistedQueryNotFound",
        "PERSISTED_QUERY_NOT_FOUND",
    )
    as_json = await served.http.get(served.url, params={"extensions": json.dumps(extensions)})
    assert as_json.status_code == 200
    assert "data" in (await get(served, query=QUERY, extensions=extensions)).json()
    assert "data" in (await get(served, extensions=extensions)).json()


async def test_a_mutation_by_hash_needs_post_all_the_same(served: Served) -> None:
    mutation = 'mutation { withdrawNeed(input: {id: "x"}) { __typename } }'
    document_id = f"sha256:{hashlib.sha256(mutation.encode()).hexdigest()}"
    await served.http.post(served.url, json={"documentId": document_id, "query": mutation})
    assert (await get(served, documentId=document_id)).status_code == 405


@pytest.mark.parametrize(
    "document_id", ["", "x", "sha256:", f"sha256:{HASH.upper()}", f"md5:{HASH}", f"sha256:{HASH}0"]
)
async def test_an_id_of_another_form_is_refused(served: Served, document_id: str) -> None:
    assert code(await get(served, documentId=document_id)) == "DOCUMENT_ID_INVALID"


async def test_a_text_that_is_not_the_ids_is_refused_and_not_kept(served: Served) -> None:
    response = await get(served, documentId=f"sha256:{HASH}", query="{ __typename }")
    assert code(response) == "DOCUMENT_ID_INVALID"
    assert code(await get(served, documentId=f"sha256:{HASH}")) == "PERSISTED_DOCUMENT_NOT_FOUND"


def test_only_valid_documents_are_kept_and_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Documents(lambda text: "wrong" not in text)
    texts = [f"{{ a{n} }}" for n in range(documents_module.DOCUMENTS_KEPT_MAX + 10)] + ["{ wrong }"]
    for text in texts:
        document_id = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        assert kept.text({"documentId": document_id, "query": text}) == text
    assert len(kept._texts) == documents_module.DOCUMENTS_KEPT_MAX
    assert "{ wrong }" not in kept._texts.values()
