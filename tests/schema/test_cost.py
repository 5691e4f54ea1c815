"""What questions cost: by page sizes and nesting alone, before any database is asked."""

import pytest

from schema.common.provenance import PROOF_COST
from schema.compile.cost import COUNT_COST, INTROSPECTION_COST, OPERATION_COST, QUERY_COST_MAX, WRITE_COST
from schema.compile.plan import RequestRefused
from schema.engine import Engine, Request
from schema.root import SCHEMA
from store.cosignatures import SERVED_MAX


@pytest.fixture
def engine() -> Engine:
    """The contract without any service: what is costed asks none."""
    return Engine(SCHEMA, None)  # type: ignore[arg-type]


def cost(engine: Engine, query: str, **variables: object) -> int:
    return engine.prepare(engine.operation(Request(query, variables)), ()).cost


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ __typename }", 0),
        ("{ needs { nodes { id } } }", 20),
        ("{ needs(first: 7) { nodes { id title publisher { name } } pageInfo { hasNextPage } } }", 7),
        ("{ needs(last: 3) { edges { cursor node { id } } } }", 3),
        ("{ needs(first: 100) { totalCount } }", COUNT_COST),
        ("{ needs(first: 5) { totalCount hiddenByTrust { count } nodes { id } } }", 5 + 2 * COUNT_COST),
        ("{ needs(first: 100) { suggestions } }", COUNT_COST),
        ("{ needs(first: 10) { nodes { updates(first: 5) { nodes { id } } } } }", 10 * (1 + 5)),
        ("{ needs(first: 10) { nodes { provenance { index proof } } } }", 10 * (1 + PROOF_COST)),
        ("{ needs(first: 10) { nodes { provenance { cosigners { id } } } } }", 10 * (1 + SERVED_MAX)),
        ("{ updates(first: 10) { nodes { about { id } } } }", 10 * (1 + 1)),
        ("{ a: needs(first: 1) { nodes { id } } b: needs(first: 2) { nodes { id } } }", 3),
        (
            "{ needs(first: 1) { ...a } } fragment a on NeedConnection { nodes { updates(first: 4) { nodes { id }}}}",
            5,
        ),
        ("query ($n: Int = 9) { needs(first: $n) { nodes { id } } }", 9),
        ("{ needs(first: 1) { nodes { updates(first: 50) @skip(if: true) { nodes { id } } } } }", 1),
        ("{ __schema { queryType { name } } }", INTROSPECTION_COST),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ('mutation { withdrawNeed(input: {id: "x"}) { need { id } } }', WRITE_COST),
        ("{ rateLimit { remaining } }", 0),
    ],
)
def test_a_question_costs_the_rows_it_may_read(engine: Engine, query: str, expected: int) -> None:
    assert cost(engine, query) == OPERATION_COST + expected


def test_values_of_variables_count_and_lists_by_their_length(engine: Engine) -> None:
    query = "query ($n: Int, $ids: [ID!]!) { needs(first: $n) { nodes { id } } nodes(ids: $ids) { id } }"
    assert cost(engine, query, n=2, ids=["x"]) == OPERATION_COST + 2 + 1
    assert cost(engine, query, n=2, ids=["x", "y", "z"]) == OPERATION_COST + 2 + 3
    assert cost(engine, query, n=50, ids=[]) == OPERATION_COST + 50


def test_what_costs_more_than_the_maximum_is_refused_and_never_compiled(engine: Engine) -> None:
    query = "{ needs(first: 100) { nodes { updates(first: 100) { nodes { id } } } } }"
    with pytest.raises(RequestRefused) as caught:
        cost(engine, query)
    extensions = caught.value.errors[0]["extensions"]
    assert extensions == {"requested": 10_101, "max": QUERY_COST_MAX, "code": "QUERY_TOO_COSTLY"}
    assert not engine.compiler._plans
    assert cost(engine, query.replace("(first: 100) { nodes { id", "(first: 90) { nodes { id")) == 9_101


def test_fields_that_may_be_of_any_type_cannot_multiply_without_end(engine: Engine) -> None:
    query = "id"
    for _ in range(6):
        query = f"publisher {{ updates(first: 1) {{ nodes {{ about {{ ... on Record {{ {query} }} }} }} }} }}"
    with pytest.raises(RequestRefused) as caught:
        cost(engine, f"{{ updates(first: 1) {{ nodes {{ {query} }} }} }}")
    assert caught.value.errors[0]["extensions"]["code"] in ("QUERY_TOO_COSTLY", "DOCUMENT_TOO_LARGE")


def test_a_wrong_page_size_is_told_in_its_place_and_not_as_a_cost(engine: Engine) -> None:
    prepared = engine.prepare(engine.operation(Request("{ needs(first: 2000) { nodes { id } } }", {})), ())
    assert prepared.cost == OPERATION_COST + 100
