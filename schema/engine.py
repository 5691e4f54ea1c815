"""Answer one GraphQL request: find its plan, run it. Transports call this and nothing else."""

from collections.abc import Mapping
from typing import Any

import msgspec
from graphql import GraphQLSchema, OperationDefinitionNode, OperationType

from domain.errors import GotongError
from schema import errors
from schema.compile.arguments import Given
from schema.compile.build import Asking, Located
from schema.compile.follow import FollowPlan
from schema.compile.plan import Answer, Compiler, Document, Plan, RequestRefused, answered
from schema.compile.read import Reader
from schema.context import Caller, Services


class Request(msgspec.Struct, frozen=True):
    """What a transport received."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """A request that can be executed."""

    document: Document
    node: OperationDefinitionNode
    variables: Given

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation


class Prepared(msgspec.Struct, frozen=True):
    """An operation that may run: its plan, and what it costs."""

    operation: Operation
    plan: Plan
    cost: int


class Engine:
    """The contract, ready to answer."""

    def __init__(self, schema: GraphQLSchema, services: Services) -> None:
        self.compiler = Compiler(schema)
        self.services = services

    def operation(self, request: Request) -> Operation:
        """Return the operation a request names, its variables coerced; raises RequestRefused."""
        document = self.compiler.document(request.query)
        if document.errors:
            raise RequestRefused(*document.errors)
        try:
            node = document.operation(request.operation_name)
        except GotongError as error:
            raise RequestRefused(errors.formatted(error)) from None
        return Operation(document, node, self.compiler.variables(document, node, request.variables))

    def prepare(self, operation: Operation, languages: tuple[str, ...]) -> Prepared:
        """Return the plan of a query or mutation and what it costs; raises RequestRefused. Asks no database."""
        try:
            plan = self.compiler.plan(operation.document, operation.node, operation.variables, localize=bool(languages))
            return Prepared(operation, plan, plan.cost.of(operation.variables.coerced))
        except Located as error:
            raise RequestRefused(errors.formatted(error.error, error.path, error.nodes)) from None
        except Exception as error:
            raise RequestRefused(errors.formatted(error)) from None

    async def execute(self, prepared: Prepared, caller: Caller) -> Answer:
        """Return the answer of a query or a mutation. Never raises but for cancellation."""
        asking = Asking(self.services, caller, prepared.operation.variables.coerced, Reader(caller.languages))
        try:
            return await answered(prepared.plan.fields, asking)
        except Exception as error:
            return Answer(None, [errors.formatted(error)])

    def follow(self, operation: Operation, caller: Caller) -> tuple[FollowPlan, Asking]:
        """Return the plan of a subscription and what it is asked with; raises RequestRefused."""
        reader = Reader(caller.languages)
        asking = Asking(self.services, caller, operation.variables.coerced, reader)
        try:
            return self.compiler.follow_plan(operation.document, operation.node, operation.variables, reader), asking
        except Located as error:
            raise RequestRefused(errors.formatted(error.error, error.path, error.nodes)) from None

    def follow_cost(self, operation: Operation) -> int:
        """Return what it costs to begin to follow; raises RequestRefused."""
        try:
            return self.compiler.follow_cost(operation.document, operation.node, operation.variables)
        except GotongError as error:
            raise RequestRefused(errors.formatted(error)) from None

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None, caller: Caller | None = None) -> Answer:
        """Return the answer to `query`: the whole way, as a transport would go it."""
        asked_by = caller or Caller()
        try:
            prepared = self.prepare(self.operation(Request(query, variables or {})), asked_by.languages)
        except RequestRefused as refused:
            return Answer(None, refused.errors)
        return await self.execute(prepared, asked_by)
