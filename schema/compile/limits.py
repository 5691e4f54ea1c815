"""Refuse documents and variables that cost too much to look at, before they are validated.

Validation is where a small document can cost much: fields under one name are
compared pair by pair, fragments are opened again for every operation, and
every unknown name is compared with all known ones. So what is counted here is
what validation would have to do.
"""

from collections import Counter
from typing import Any, ClassVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    visit,
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
OPERATIONS_MAX = 50
FRAGMENTS_MAX = 100
SAME_FIELDS_PAIRS_MAX = 2_000  # of one name at one place; n fields make n * (n - 1) / 2
OPENED_FIELDS_MAX = 2_000  # of all operations, fragments opened
ARGUMENTS_MAX = 500
OBJECT_FIELDS_MAX = 200
LISTED_VALUES_MAX = 1_000
VARIABLE_VALUES_MAX = 2_000
VARIABLE_DEPTH_MAX = 20


class DocumentTooLarge(GotongError):
    """The operation is too long, too deep or asks for too many fields."""

    code: ClassVar[str] = "DOCUMENT_TOO_LARGE"


class VariablesTooLarge(GotongError):
    """The variables hold more values, or deeper ones, than any question can use."""

    code: ClassVar[str] = "VARIABLES_TOO_LARGE"


def check_size(document: DocumentNode) -> list[FragmentDefinitionNode]:
    """Return the fragments no operation reaches, if what they reach is small enough; raises DocumentTooLarge.

    A document with such fragments is invalid already, and what they hold is not bounded here: validate it no further.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    _at_most(OPERATIONS_MAX, len(operations), "operations")
    _at_most(FRAGMENTS_MAX, len(fragments), "fragments")
    visit(document, _Counts())
    meter = _Meter({node.name.value: node for node in fragments})
    for node in operations:
        meter.operation(node)
    return [node for node in fragments if node.name.value not in meter.reached]


def check_variables(given: Any) -> None:
    """Return if JSON variables hold few enough values to look at each; raises VariablesTooLarge."""
    level, seen, depth = [given], 0, 0
    while level:
        depth += 1
        if depth > VARIABLE_DEPTH_MAX:
            raise VariablesTooLarge(
                f"Variables are at most {VARIABLE_DEPTH_MAX} levels deep.", depth_max=VARIABLE_DEPTH_MAX
            )
        below: list[Any] = []
        for members in level:
            seen += len(members)
            if seen > VARIABLE_VALUES_MAX:
                raise VariablesTooLarge(
                    f"Variables hold at most {VARIABLE_VALUES_MAX} values.", values_max=VARIABLE_VALUES_MAX
                )
            inner = members.values() if isinstance(members, dict) else members
            below += [member for member in inner if isinstance(member, dict | list)]
        level = below


def _at_most(limit: int, count: int, what: str, where: str = "A document") -> None:
    if count > limit:
        raise DocumentTooLarge(f"{where} has at most {limit} {what}.", **{f"{what.replace(' ', '_')}_max": limit})


class _Counts(Visitor):
    """Counts what stands in the text, reached by an operation or not."""

    def __init__(self) -> None:
        super().__init__()
        self._arguments = self._object_fields = self._directives = self._listed = 0

    def enter_argument(self, *_: Any) -> None:
        self._arguments += 1
        _at_most(ARGUMENTS_MAX, self._arguments, "arguments")

    def enter_object_field(self, *_: Any) -> None:
        self._object_fields += 1
        _at_most(OBJECT_FIELDS_MAX, self._object_fields, "input fields")

    def enter_list_value(self, node: ListValueNode, *_: Any) -> None:
        self._listed += len(node.values)
        _at_most(LISTED_VALUES_MAX, self._listed, "listed values")

    def enter_directive(self, *_: Any) -> None:
        self._directives += 1
        _at_most(DIRECTIVES_MAX, self._directives, "directives")


class _Meter:
    """Counts as execution would meet the fields; stops at the first limit."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._open: list[str] = []
        self.reached: set[str] = set()
        self._opened = self._fields = self._aliases = self._pairs = 0
        self._same: Counter[tuple[str, ...]] = Counter()

    def operation(self, node: OperationDefinitionNode) -> None:
        """Count an operation."""
        _at_most(ROOT_FIELDS_MAX, len(node.selection_set.selections), "root fields", "An operation")
        self._fields = self._aliases = self._pairs = 0
        self._same.clear()
        self._selections(node.selection_set, ())

    def _selections(self, selections: SelectionSetNode, path: tuple[str, ...]) -> None:
        if len(path) >= DEPTH_MAX:
            raise DocumentTooLarge(f"An operation is at most {DEPTH_MAX} levels deep.", depth_max=DEPTH_MAX)
        for node in selections.selections:
            self._opened += 1
            self._fields += 1  # spreads too, so that empty fragments, spread many times, count
            _at_most(FIELDS_MAX, self._fields, "fields", "An operation")
            _at_most(OPENED_FIELDS_MAX, self._opened, "fields")
            if isinstance(node, FieldNode):
                self._field(node, path)
            elif isinstance(node, FragmentSpreadNode):
                self._spread(node.name.value, path)
            elif isinstance(node, InlineFragmentNode):
                self._selections(node.selection_set, path)

    def _field(self, node: FieldNode, path: tuple[str, ...]) -> None:
        key = node.name.value
        if node.alias is not None:
            key = node.alias.value
            self._aliases += 1
            _at_most(ALIASES_MAX, self._aliases, "aliases", "An operation")
        place = (*path, key)
        self._pairs += self._same[place]
        self._same[place] += 1
        _at_most(SAME_FIELDS_PAIRS_MAX, self._pairs, "pairs of equal fields", "An operation")
        if node.selection_set is not None:
            self._selections(node.selection_set, place)

    def _spread(self, name: str, path: tuple[str, ...]) -> None:
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:
            return  # validation says so better
        self.reached.add(name)
        self._open.append(name)
        self._selections(fragment.selection_set, path)
        self._open.pop()
