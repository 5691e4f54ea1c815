"""Post news."""

import strawberry

from domain.errors import GotongError
from domain.ids import RecordUri, parse_uri
from federation.publish.prepare import Current, Parts, RecordNotFound
from schema.common import inputs, writing
from schema.common.inputs import TextInput, WriteInput
from schema.common.records import ExternalIdInput
from schema.common.writing import Convert, Deed, Outcome, Work, Written, changed, mutation, written, written_record
from schema.compile.lookup import leaf_hash
from schema.updates.types import Update


@strawberry.input(description="News about a record or a community.")
class PostUpdateInput(WriteInput):
    """News."""

    as_: strawberry.ID = inputs.required(inputs.AS, name="as")
    about: strawberry.ID = inputs.required("What it is about: a record's URI, or a community's own.")
    text: list[TextInput] = inputs.required("The news, once in each language.")
    media: list[str] | None = inputs.optional("Pictures and files, by SHA-256 in hex.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    exercise: bool | None = inputs.optional("True: about a drill.")


async def post_update(deed: Deed) -> Outcome:
    """Return what became of the news. A reference to a record carries the hash of the revision it was written about."""
    uri: RecordUri | None = None
    leaf: str | None = None
    refused: GotongError | None = None
    try:
        uri = parse_uri(deed.input.about)
        leaf = await leaf_hash(deed.services.database, uri)
        if leaf is None and uri.id is not None:
            refused = RecordNotFound("There is no such record here.", field="about")
    except GotongError as error:
        if isinstance(error, writing.RAISED):
            raise
        error.details["field"] = "about"
        refused = error

    def change(_current: Current | None) -> Parts:
        if refused is not None:
            raise refused
        about = {"uri": str(uri)} | ({"leaf": leaf} if leaf else {})
        members: dict[str, tuple[str, Convert]] = {
            "text": ("text", inputs.long_texts),
            "media": ("media", inputs.same),
            "external_ids": ("externalIds", inputs.external_ids),
        }
        body = changed({"about": about}, writing.without_nulls(deed.input), members)
        return Parts({}, body, None, bool(deed.input.exercise))

    def work() -> Work:
        return Work(writing.organization(deed.input.as_), "update", change)

    return await written(deed, work)


@strawberry.type(description="What became of the update.")
class UpdatePayload(Written):
    """The answer of mutations that write it."""

    update: Update | None = written_record("The update")


@strawberry.type(description="Writing news.")
class UpdateMutations:
    """Root fields."""

    post_update: UpdatePayload = mutation(post_update, PostUpdateInput, "Post news about a record or a community.")
