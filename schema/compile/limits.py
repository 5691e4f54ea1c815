"""Refuse documents that cost too much before anything is planned: size, nesting, aliases, spread."""

from typing import ClassVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from domain.errors import GotongError

DOCUMENT_CHARS_MAX = 65_536
TOKENS_MAX = 4_000
COMMENTS_MAX = 500
DEPTH_MAX = 20
FIELDS_MAX = 1_000
ALIASES_MAX = 100
ROOT_FIELDS_MAX = 20
DIRECTIVES_MAX = 100


class DocumentTooLarge(GotongError):
    """The operation is too long, too deep or asks for too many fields."""

    code: ClassVar[str] = "DOCUMENT_TOO_LARGE"


def check_size(document: DocumentNode) -> None:
    """Return if every operation is small enough with its fragments opened; raises DocumentTooLarge."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            _Meter(fragments).operation(node)


class _Meter:
    """Counts as execution would meet the fields; stops at the first limit."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._open: list[str] = []
        self._fields = self._aliases = self._directives = 0

    def operation(self, node: OperationDefinitionNode) -> None:
        """Count an operation."""
        if len(node.selection_set.selections) > ROOT_FIELDS_MAX:
            raise DocumentTooLarge(
                f"An operation has at most {ROOT_FIELDS_MAX} root fields.", roots_max=ROOT_FIELDS_MAX
            )
        self._selections(node.selection_set, 1)

    def _selections(self, selections: SelectionSetNode, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise DocumentTooLarge(f"An operation is at most {DEPTH_MAX} levels deep.", depth_max=DEPTH_MAX)
        for node in selections.selections:
            self._count(node, depth)

    def _count(self, node: object, depth: int) -> None:
        self._directives += len(getattr(node, "directives", None) or ())
        if self._directives > DIRECTIVES_MAX:
            raise DocumentTooLarge(
                f"An operation has at most {DIRECTIVES_MAX} directives.", directives_max=DIRECTIVES_MAX
            )
        if isinstance(node, FragmentSpreadNode):
            self._spread(node.name.value, depth)
            return
        if isinstance(node, FieldNode):
            self._fields += 1
            self._aliases += node.alias is not None
            if self._fields > FIELDS_MAX:
                raise DocumentTooLarge(f"An operation has at most {FIELDS_MAX} fields.", fields_max=FIELDS_MAX)
            if self._aliases > ALIASES_MAX:
                raise DocumentTooLarge(f"An operation has at most {ALIASES_MAX} aliases.", aliases_max=ALIASES_MAX)
        inner: SelectionSetNode | None = getattr(node, "selection_set", None)
        if inner is not None:
            self._selections(inner, depth + isinstance(node, FieldNode))

    def _spread(self, name: str, depth: int) -> None:
        self._fields += 1  # so that empty fragments, spread many times, count as well
        if self._fields > FIELDS_MAX:
            raise DocumentTooLarge(f"An operation has at most {FIELDS_MAX} fields.", fields_max=FIELDS_MAX)
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:
            return  # validation says so better
        self._open.append(name)
        self._selections(fragment.selection_set, depth)
        self._open.pop()
