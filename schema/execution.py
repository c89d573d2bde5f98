"""Executes operations with graphql-core, on the schema that Strawberry builds from our types.

::

    text ──▶ Documents ──▶ begin(text, name, variables, context) ──▶ Execution ──▶ result()    query, mutation
               parsed, limited,     checks name, variables and cost     │
               validated, cached    Rejected if nothing can run         └─────────▶ results()   subscription

Strawberry's own `execute` creates six extensions, each with four hooks, for every operation: half of
the time of a small query. Here their work is done in plain steps: documents are cached, limits and
costs are checked before any read, and faults are masked in every result.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, cast
from weakref import WeakValueDictionary

import msgspec
import strawberry
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, OperationType, VariableValues
from graphql.execution import (
    Executor,
    create_source_event_stream,
    default_field_resolver,
    default_type_resolver,
    execute_root_selection_set,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.execute import execute_subscription_event
from strawberry.execution import optimized_is_awaitable

from schema.arguments import wrong_arguments
from schema.documents import ERRORS_MAX, Document, Documents, InvalidDocument, Limits
from schema.errors import (
    bad_input,
    limit_exceeded,
    limit_of_document,
    masked,
    nothing_was_done,
    unavailable,
    unfit_value,
)
from schema.frames import Frame, LiveFrames, SharedFrames, encoded, encoded_errors
from schema.turns import ExecutorInTurns
from schema.variables import too_many, unknown_names

__all__ = ["Executable", "Execution", "Rejected"]

#: Introspection fields in one operation. Their answer is always the same, so nobody needs two.
INTROSPECTIONS_MAX: Final = 1
_OF_ONE_SAGA: Final = frozenset({"sagaEvents", "saga"})


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing was executed: the document, the variables or the limits do not allow it."""

    errors: tuple[GraphQLError, ...]

    @classmethod
    def beyond(cls, message: str, *, limit: int, retry_after_seconds: int | None = None) -> Rejected:
        """The operation exceeds a limit of its caller."""
        return cls((limit_exceeded(message, limit=limit, retry_after_seconds=retry_after_seconds),))

    @property
    def result(self) -> ExecutionResult:
        """The rejection as a result without data."""
        return ExecutionResult(None, list(self.errors))


@dataclass(slots=True)
class Execution:
    """One operation that may run.

    `cost`: the maximum points of its answer. `root_fields`: its number of queries, mutations or
    subscriptions; `roots`: their names. `public_seconds`: see `RootFields`. `pace`: awaited before each further
    result of a subscription.
    """

    kind: OperationType
    cost: int
    root_fields: int
    roots: frozenset[str]
    _executor: Executor[Any]
    _context: Any
    _bytes_max: int
    _shared: SharedFrames | None = None
    pace: Callable[[], Awaitable[None]] | None = None
    public_seconds: int | None = None

    @property
    def name(self) -> str | None:
        """The operation's name in the document."""
        named = self._executor.operation.name
        return named.value if named else None

    async def result(self) -> ExecutionResult:
        """Run a query or a mutation and return its result. The result has no path and no data if nothing could run."""
        running = execute_root_selection_set(self._executor)
        found = cast(ExecutionResult, await running if self._executor.is_awaitable(running) else running)
        if self._did_nothing(found):
            return ExecutionResult(None, [unavailable()])
        found = _masked(found)
        found.extensions = {"cost": self.cost}
        return found

    def _did_nothing(self, found: ExecutionResult) -> bool:
        """Whether the database could not be used at all, so that the client can send the same request again."""
        if not found.errors or any(value is not None for value in (found.data or {}).values()):
            return False
        if self.kind is OperationType.MUTATION:
            # If one of several mutations failed, earlier ones may be done; so may one whose answer cannot be read.
            if self.root_fields > 1 or any(len(error.path or ()) > 1 for error in found.errors):
                return False
        return all(map(nothing_was_done, found.errors))

    def encoded(self, result: ExecutionResult) -> bytes:
        """A result of this operation as JSON; LIMIT_EXCEEDED instead if it is too long."""
        body = encoded(result)
        if len(body) <= self._bytes_max:
            return body
        done = " What it was to do is done." if self.kind is OperationType.MUTATION else ""
        message = f"The answer is longer than {self._bytes_max:,} bytes; ask for less of it.{done}"
        error = limit_exceeded(message, limit=self._bytes_max)
        return encoded(ExecutionResult(None, [error], result.extensions))

    async def results(self) -> AsyncGenerator[Frame, None]:
        """Every result of the operation: one, or for a subscription one per event.

        A fault of the source is the last result. Closing the generator closes the source and runs its `finally`.
        """
        if self.kind is not OperationType.SUBSCRIPTION:
            yield Frame(self.encoded(await self.result()))
            return
        try:
            source = create_source_event_stream(self._executor)
            if self._executor.is_awaitable(source):
                source = await source
            if isinstance(source, ExecutionResult):
                yield Frame(self.encoded(_masked(source)))
                return
            async with aclosing(cast(AsyncGenerator[Any, None], source)):
                is_first = True
                async for event in cast(AsyncGenerator[Any, None], source):
                    if self.pace is not None and not is_first:
                        await self.pace()
                    is_first = False
                    body = self._known(event) or await self._body(event)
                    yield Frame(body, getattr(event, "sequence", None), getattr(event, "at", None))
        except Exception as error:
            told = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            yield Frame(encoded_errors([masked(told)]))

    def _known(self, event: Any) -> bytes | None:
        return None if self._shared is None else self._shared.known(getattr(event, "moment", None))

    def live(self, frames: AsyncGenerator[Frame, None], sequence: int | None, note: Any) -> LiveFrames | None:
        """The stream of all that ask the same, if it continues after `sequence` (None: the beginning).

        If nobody has one yet, it is made of `frames`, the caller's own results, which belong to it then. None: the
        caller goes on by itself. Only the events and states of one saga are shared, as their sequences rise.
        """
        if self._shared is None or self.pace is not None or not self.roots <= _OF_ONE_SAGA:
            return None
        live = self._shared.live
        if live is not None and live.continues(sequence):
            return live
        if live is None or live.is_over or live.sequence is sequence is None:
            self._shared.live = LiveFrames(frames, sequence, note)
            return self._shared.live
        return None

    async def _body(self, event: Any) -> bytes:
        moment: Hashable = getattr(event, "moment", None)
        if moment is not None and self._shared is not None:
            return await self._shared.body(moment, lambda: self._render(event), self.encoded)
        rendered = self._render(event)
        return self.encoded(rendered if isinstance(rendered, ExecutionResult) else await rendered)

    def _render(self, event: Any) -> ExecutionResult | Awaitable[ExecutionResult]:
        """The result for `event`. All data is read again; data loaded for an earlier event is forgotten."""
        forget = getattr(self._context, "refresh", None)
        if forget is not None:
            forget()
        rendered = execute_subscription_event(self._executor.build_per_event_executor(event))
        if isinstance(rendered, ExecutionResult):
            return _masked(rendered)
        return _masked_later(rendered)


class Executable:
    """A Strawberry schema that can run operations, with its limits and its cache of documents.

    Without `introspection`, documents may not query the schema itself, and errors make no suggestions. `trusted`: the
    forms of the only documents that may run.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits | None = None,
        *,
        introspection: bool = True,
        trusted: Collection[str] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._schema = schema._schema
        self._introspection = introspection
        self.documents = Documents(self._schema, self.limits, introspection=introspection, trusted=trusted)
        self._shared: WeakValueDictionary[Hashable, SharedFrames] = WeakValueDictionary()

    def begin(
        self,
        text: str,
        *,
        variables: dict[str, Any] | None = None,
        name: str | None = None,
        context: Any = None,
    ) -> Execution | Rejected:
        """The operation `name` of the document `text`, or its only one, ready to run. Nothing has run yet."""
        document = self.documents(text)
        if isinstance(document, InvalidDocument):
            return Rejected(document.errors)
        operation = document.operations.get(name)
        if operation is None:
            return _rejected(bad_input(_no_operation(document, name)))
        given = variables or {}
        if (refusal := too_many(given, self.limits.values_max)) is not None:
            return _rejected(refusal)
        values = document.coercions[name](given)
        if values is None:
            refusal = unknown_names(self._schema, operation, given, suggest=self._introspection)
            if refusal is not None:
                return _rejected(refusal)
        cost = document.bounds[name].of(given)
        if cost > self.limits.cost_max:
            return _rejected(limit_of_document("points of cost", self.limits.cost_max, cost=cost))
        roots = document.root_fields[name]
        if roots.introspecting > INTROSPECTIONS_MAX:
            return _rejected(limit_of_document("fields that ask for the schema", INTROSPECTIONS_MAX))
        executor = self._executor(document, operation, given, values, context)
        if not isinstance(executor, Executor):
            return Rejected(tuple(unfit_value(error) for error in executor))
        to_check = document.to_check[name] if context is not None else ()
        if to_check and (wrong := wrong_arguments(to_check, executor.variable_values, context)):
            return Rejected(wrong)
        shared = None
        if operation.operation is OperationType.SUBSCRIPTION:
            shared = self._shared_by((text, name, msgspec.json.encode(variables, order="sorted")), context)
        return Execution(
            operation.operation,
            cost,
            roots.executed,
            roots.names,
            executor,
            context,
            self.limits.answer_bytes_max,
            shared,
            public_seconds=roots.public_seconds,
        )

    def _executor(
        self,
        document: Document,
        operation: OperationDefinitionNode,
        given: dict[str, Any],
        values: VariableValues | None,
        context: Any,
    ) -> Executor[Any] | Sequence[GraphQLError]:
        """The executor of this operation, or what graphql-core finds wrong with variables that have no `values` yet."""
        named = {
            "is_awaitable": cast(Any, optimized_is_awaitable),
            "hide_suggestions": not self._introspection,
            "operation_extensions": None,
        }
        if values is not None:
            # What `build` does otherwise.
            return ExecutorInTurns(
                self._schema,
                document.fragments,
                {key: FragmentDetails(node) for key, node in document.fragments.items()},
                None,
                context,
                operation,
                values,
                default_field_resolver,
                default_type_resolver,
                default_field_resolver,
                **named,
            )
        name = operation.name.value if operation.name else None
        return cast(
            Executor[Any] | Sequence[GraphQLError],
            ExecutorInTurns.build(
                self._schema, document.node, None, context, given, name, max_coercion_errors=ERRORS_MAX, **named
            ),
        )

    def _shared_by(self, question: Hashable, context: Any) -> SharedFrames | None:
        """The frames shared by all subscribers with the same `question` and audience."""
        audience: Hashable = getattr(context, "audience", None)
        if audience is None:
            return None
        shared = self._shared.get((question, audience))
        if shared is None:
            shared = self._shared[question, audience] = SharedFrames()
        return shared


def _no_operation(document: Document, name: str | None) -> str:
    known = sorted(each for each in document.operations if each is not None)
    if name is not None:
        return "The document has no operation with the name in `operationName`."
    return (
        f"The document has {len(known)} operations; `operationName` must be one of: {', '.join(known)}."
        if known
        else ("The document has no operation.")
    )


def _rejected(error: GraphQLError) -> Rejected:
    return Rejected((error,))


async def _masked_later(result: Awaitable[ExecutionResult]) -> ExecutionResult:
    return _masked(await result)


def _masked(result: ExecutionResult) -> ExecutionResult:
    if result.errors:
        result.errors = [masked(error) for error in result.errors]
    return result
