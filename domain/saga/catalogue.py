"""The definitions that this replica runs, compared with those that unfinished sagas began with.

A saga stands at a position within the steps of its definition. If the steps change under the same
version, the position means another step: a step would run twice, or never. So each saga keeps
the fingerprint of the definition that it began with. A process whose definition differs does
not start. If another replica started such a saga meanwhile, the saga is parked (`store.fence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import DefinitionError
from domain.saga.definition import SagaDefinition
from domain.saga.tables import ACTIVE, saga_definitions, saga_steps, sagas
from domain.storage import BulkInsert, Database

__all__ = ["catalogue_of", "require_unchanged"]

_s = sagas.c
_t = saga_steps.c
_d = saga_definitions.c
_active = text(f"sagas.{ACTIVE}")
_began_with: Final = (
    select(_s.definition, _s.version, _s.definition_fingerprint, _d.outline, func.count().label("sagas"))
    .select_from(sagas.outerjoin(saga_definitions, _d.fingerprint == _s.definition_fingerprint))
    .where(_active)
    .group_by(_s.definition, _s.version, _s.definition_fingerprint, _d.outline)
)
#: For sagas from before fingerprints: names, order and compensations from their step rows.
_step_rows: Final = (
    select(_s.definition, _s.version, _t.position, _t.name, _t.compensation, func.count().label("sagas"))
    .join(saga_steps, _t.saga_id == _s.id)
    .where(_active, _s.definition_fingerprint.is_(None))
    .group_by(_s.definition, _s.version, _t.position, _t.name, _t.compensation)
)
_insert: Final = BulkInsert(saga_definitions, _d.fingerprint, _d.name, _d.version, _d.outline, skip_existing=True)


def catalogue_of(definitions: Iterable[SagaDefinition]) -> dict[tuple[str, int], SagaDefinition]:
    """The definitions by name and version. Raises DefinitionError if two have the same name and version."""
    found: dict[tuple[str, int], SagaDefinition] = {}
    for item in definitions:
        if (item.name, item.version) in found:
            raise DefinitionError(
                f"Saga definition {item.name} version {item.version} is given twice; give one of them another version."
            )
        found[item.name, item.version] = item
    return found


async def require_unchanged(database: Database, catalogue: Mapping[tuple[str, int], SagaDefinition]) -> None:
    """Record the outlines of these definitions. Raises DefinitionError if unfinished sagas began with others.

    Sagas of a name and version that are not in the catalogue belong to another release, and are left to it.
    """

    async def work(connection: AsyncConnection) -> None:
        for row in await connection.execute(_began_with):
            here = catalogue.get((row.definition, row.version))
            if here is not None and row.definition_fingerprint not in (None, here.fingerprint):
                raise _changed(here, row.sagas, f"[{row.outline or row.definition_fingerprint}]", f"[{here.outline}]")
        for row in await connection.execute(_step_rows):
            here = catalogue.get((row.definition, row.version))
            if here is None:
                continue
            step = here.steps[row.position] if row.position < len(here.steps) else None
            undo = step.compensation.name if step is not None and step.compensation is not None else None
            if step is None or (step.name, undo) != (row.name, row.compensation):
                began = f"{row.name} (compensation {row.compensation or 'none'}) as step {row.position + 1}"
                now = f"{step.name} (compensation {undo or 'none'}) there" if step else f"only {len(here.steps)} steps"
                raise _changed(here, row.sagas, began, now)
        await _insert(
            connection, [(item.fingerprint, item.name, item.version, item.outline) for item in catalogue.values()]
        )

    await database.write(work)


def _changed(here: SagaDefinition, number: int, began: str, now: str) -> DefinitionError:
    return DefinitionError(
        f"{here.name} version {here.version}: {number} unfinished {'saga' if number == 1 else 'sagas'} began with"
        f" {began}, and this release has {now}. Give the changed definition version {here.version + 1} and keep"
        f" version {here.version} beside it, or start the release that they began with."
    )
