"""Update an organization."""

from collections.abc import Mapping
from typing import Any

import strawberry

from schema.common import inputs, writing
from schema.common.inputs import ContactInput, ExactPlaceInput, PlaceInput, TextInput, WriteInput
from schema.common.records import ExternalIdInput
from schema.common.writing import Convert, Deed, Outcome, Written, changed, mutation, written, written_record
from schema.organizations.types import Organization, OrganizationKind


@strawberry.input(description="A page elsewhere.")
class LinkInput:
    """A link."""

    url: str = inputs.required("Where it is; http or https.")
    title: str | None = inputs.optional("What it is called.")


@strawberry.input(description="What to change of an organization: what is left out stays, null removes.")
class UpdateOrganizationInput(WriteInput):
    """Changes to an organization."""

    id: strawberry.ID = inputs.required("The organization: gotong:<SCID>.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)
    slug: str | None = inputs.optional("The short name it wishes for.")
    name: list[TextInput] | None = inputs.optional("Its name, once in each language.")
    kind: OrganizationKind | None = inputs.optional("What it says it is.")
    description: list[TextInput] | None = inputs.optional("What it does, once in each language.")
    focus: list[str] | None = inputs.optional("The categories it works in.")
    founded_on: str | None = inputs.optional("When it began: a year, a month or a day.")
    member_band: str | None = inputs.optional("How many members it has: 1-5, 6-10, 11-30, ... 1001+.")
    place: PlaceInput | None = inputs.optional("Where it is.")
    languages: list[str] | None = inputs.optional("The languages it can be written to in.")
    parent: strawberry.ID | None = inputs.optional("The organization it is a branch of.")
    succeeds: strawberry.ID | None = inputs.optional(
        "The participant that this one was, before all its cards were lost. People on each node decide if it is so."
    )
    links: list[LinkInput] | None = inputs.optional("Its pages elsewhere.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    contact: ContactInput | None = inputs.optional(inputs.CONTACT)
    exact_place: ExactPlaceInput | None = inputs.optional(inputs.EXACT_PLACE)


def _links(given: list[LinkInput]) -> list[dict[str, str]]:
    return [{"url": link.url} | ({"title": link.title} if link.title else {}) for link in given]


def _members(deed: Deed) -> Mapping[str, tuple[str, Convert]]:
    return {
        "slug": ("slug", inputs.same),
        "name": ("name", inputs.short_texts),
        "kind": ("kind", inputs.enum),
        "description": ("description", inputs.long_texts),
        "focus": ("focus", inputs.same),
        "founded_on": ("foundedOn", inputs.same),
        "member_band": ("memberBand", inputs.same),
        "place": ("place", lambda place: inputs.place(place, deed.services.regions)),
        "languages": ("languages", inputs.same),
        "parent": ("parent", inputs.same),
        "succeeds": ("succeeds", inputs.same),
        "links": ("links", _links),
        "external_ids": ("externalIds", inputs.external_ids),
    }


async def update_organization(deed: Deed) -> Outcome:
    """Return what became of the changes."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        return changed(body, deed.input, _members(deed))

    return await written(
        deed, lambda: writing.revision(deed, writing.own(deed.input.id, "organization"), "organization", change)
    )


@strawberry.type(description="What became of the organization.")
class OrganizationPayload(Written):
    """The answer of mutations that write it."""

    organization: Organization | None = written_record("The organization")


@strawberry.type(description="Writing about oneself.")
class OrganizationMutations:
    """Root fields."""

    update_organization: OrganizationPayload = mutation(
        update_organization, UpdateOrganizationInput, "Change what an organization says about itself."
    )
