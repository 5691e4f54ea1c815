"""The Update: news about one record, or about a community as a whole."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.ids import HashText, RecordUriText, parse_uri
from domain.records.base import RecordInvalid, RecordType, Row
from domain.records.parts import (
    ExternalIds,
    check_texts,
    check_unique,
    external_ids_column,
    given,
    search_text,
    text_column,
)
from domain.text import LongTexts

MEDIA_MAX = 12


class Reference(Struct, frozen=True, gc=False):
    """What the update is about: a record's URI with its entry's leaf hash, or a participant's URI alone."""

    uri: RecordUriText
    leaf: HashText | UnsetType = UNSET


class UpdateBody(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The public part; `media` are SHA-256 hashes, the files travel apart."""

    about: Reference
    text: LongTexts
    media: Annotated[tuple[HashText, ...], Meta(max_length=MEDIA_MAX)] | UnsetType = UNSET
    external_ids: ExternalIds | UnsetType = UNSET


def _check(body: UpdateBody) -> None:
    check_texts(text=body.text)
    check_unique("media", given(body.media) or ())
    if parse_uri(body.about.uri).id is not None and body.about.leaf is UNSET:
        raise RecordInvalid("a reference to a record carries its leaf hash", part="body", field="about.leaf")


def _project(body: UpdateBody) -> Row:
    about = parse_uri(body.about.uri)
    leaf = given(body.about.leaf)
    return {
        "about_uri": body.about.uri,
        "about_publisher": about.scid,
        "about_type": about.type,
        "about_id": about.id,
        "about_leaf": bytes.fromhex(leaf) if leaf else None,
        "body_text": text_column(body.text),
        "media": list(given(body.media) or ()),
        "external_ids": external_ids_column(body.external_ids),
        "search_text": search_text(body.text),
    }


def _targets(body: UpdateBody) -> tuple[str]:
    return (body.about.uri,)


UPDATE = RecordType(
    name="update",
    version=1,
    table="update_post",
    body=UpdateBody,
    check=_check,
    project=_project,
    targets=_targets,
    target_column="about_uri",
    fixed=("about",),
)
