"""The connections between features: fields that one feature's type has because another feature exists.

They stand here and not in the types, so that no two features import each other.
"""

from collections.abc import Mapping
from typing import Any

from strawberry.annotation import StrawberryAnnotation
from strawberry.types.base import get_object_definition

from schema.activities.types import Activity, activity_connection
from schema.common.connections import Connection
from schema.needs.types import Need, need_connection
from schema.organizations.types import Organization
from schema.updates.types import Update, update_connection

OWN = "{t}.publisher_id = {outer}.publisher_id"
ABOUT = "{t}.about_uri = 'gotong:' || {outer_p}.scid || '/%s/' || {outer}.record_id"

LINKS: Mapping[type, Mapping[str, tuple[Any, Any]]] = {
    Organization: {
        "needs": (Connection[Need], need_connection("What it asks for.", on=OWN)),
        "activities": (Connection[Activity], activity_connection("What it does.", on=OWN)),
        "updates": (Connection[Update], update_connection("What it tells.", on=OWN)),
    },
    Need: {"updates": (Connection[Update], update_connection("News about it.", on=ABOUT % "need"))},
    Activity: {"updates": (Connection[Update], update_connection("News about it.", on=ABOUT % "activity"))},
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
