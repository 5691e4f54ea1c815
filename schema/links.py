"""The connections between features: fields that one feature's type has because another feature exists.

They stand here and not in the types, so that no two features import each other: what every record has (`common`)
needs no organization to be read.
"""

from collections.abc import Mapping
from typing import Any

from strawberry.annotation import StrawberryAnnotation
from strawberry.types.base import get_object_definition

from schema.activities.types import Activity, activity_connection
from schema.common.connections import Connection
from schema.common.provenance import Provenance
from schema.common.records import Record
from schema.compile.read import Publisher, Related, declare
from schema.needs.types import Need, need_connection
from schema.organizations.types import Organization
from schema.updates.types import Update, update_connection
from store.cosignatures import SERVED_MAX

OWN = "{t}.publisher_id = {outer}.publisher_id"
ABOUT = "{t}.about_uri = 'gotong:' || {outer_p}.scid || '/%s/' || {outer}.record_id"

COSIGNERS = declare(
    Related(
        """
        join cosignature c_{t} on c_{t}.cosigner_id = {t}.publisher_id
        join participant cosigner_{t} on cosigner_{t}.id = {t}.publisher_id
        join participant signer_{t} on signer_{t}.id = {outer}.publisher_id
            and signer_{t}.host <> cosigner_{t}.host
        where c_{t}.log_id = {outer_l}.id and c_{t}.size = {outer_l}.checkpoint_size
            and {outer}.index < {outer_l}.checkpoint_size
        """,
        order="c_{t}.at_s desc, {t}.publisher_id",
        rows_max=SERVED_MAX,
    ),
    f"The operators of other hosts whose cosignatures, checked here, stand on the signed head that `proof` leads "
    f"to, those who signed last first, at most {SERVED_MAX}: those that are shown here. Empty for an entry that no "
    "signed head held here covers yet.",
)


def _publisher() -> Mapping[str, tuple[Any, Any]]:
    return {"publisher": (Organization, declare(Publisher(), "Who signed it."))}


LINKS: Mapping[type, Mapping[str, tuple[Any, Any]]] = {
    Record: _publisher(),
    Organization: {
        **_publisher(),
        "needs": (Connection[Need], need_connection("What it asks for.", on=OWN)),
        "activities": (Connection[Activity], activity_connection("What it does.", on=OWN)),
        "updates": (Connection[Update], update_connection("What it tells.", on=OWN)),
    },
    Need: {
        **_publisher(),
        "updates": (Connection[Update], update_connection("News about it.", on=ABOUT % "need")),
    },
    Activity: {
        **_publisher(),
        "updates": (Connection[Update], update_connection("News about it.", on=ABOUT % "activity")),
    },
    Update: _publisher(),
    Provenance: {"cosigners": (list[Organization], COSIGNERS)},
}


def link() -> None:
    """Give the types their links; a second call changes nothing."""
    for cls, links in LINKS.items():
        definition = get_object_definition(cls, strict=True)
        present = {field.python_name for field in definition.fields}
        for name, (annotation, field) in links.items():
            if name not in present:
                field.python_name = name
                field.type_annotation = StrawberryAnnotation(annotation)
                field.origin = cls
                definition.fields.append(field)
