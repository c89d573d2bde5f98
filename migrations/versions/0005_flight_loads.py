"""A load of flights is a row with a heartbeat; a flight's identity includes its origin, and no leading zeros.

An expansion: the release before keeps running beside this one. A load that it runs during this migration counts as
alive until the time limit for a heartbeat has passed.

Revision: 0005, after: 0004
"""

from __future__ import annotations

import re
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.scripts import is_script, refuse_if

revision = "0005"
down_revision = "0004"
ends = None
#: SQLite takes a constraint off a table by copying it.
copies_tables = True

_ID = sa.Text().with_variant(sa.UUID(as_uuid=False), "postgresql")
_LOADED: dict[str, Any] = {
    "sqlite_where": sa.text("load_id IS NOT NULL"),
    "postgresql_where": sa.text("load_id IS NOT NULL"),
}
_PLAIN = sa.text(
    """
    UPDATE flights SET number = :plain WHERE number = :padded AND NOT EXISTS (
        SELECT 1 FROM flights AS other
        WHERE other.number = :plain AND other.departs_on = flights.departs_on AND other.origin = flights.origin
    )
    """
)
_PADDED = re.compile(r"([A-Z]{3}|[A-Z0-9]{2})0+([0-9]+[A-Z]*)")


def upgrade() -> None:
    loads = op.create_table(
        "flight_loads",
        sa.Column("id", _ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("flights_expected", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("revealed_at", sa.BigInteger(), nullable=True),
        sa.Column("abandoned_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flight_loads")),
    )
    if is_script():
        _refuse_what_needs_a_program()
    else:
        _adopt_loads(loads)
    with op.batch_alter_table("flights", copy_from=_flights_before() if is_script() else None) as flights:
        flights.drop_constraint("uq_flights_number_departs_on", type_="unique")
    op.create_index("uq_flights_departure", "flights", ["number", "departs_on", "origin"], unique=True)
    op.drop_index("ix_flights_load_id", table_name="flights")
    op.create_index("ix_flights_load_id", "flights", ["load_id", "id"], unique=False, **_LOADED)
    op.create_index(
        op.f("ix_seat_reservations_flight_id_seat"), "seat_reservations", ["flight_id", "seat"], unique=False
    )
    if not is_script():
        _take_zeros_off()


def _refuse_what_needs_a_program() -> None:
    refuse_if(
        "EXISTS (SELECT 1 FROM flights WHERE load_id IS NOT NULL)",
        "Flights are being loaded; wait until they are, or run: seatsaga migrate",
    )
    if op.get_context().dialect.name == "postgresql":
        padded = "number ~ '^([A-Z]{3}|[A-Z0-9]{2})0+[0-9]+[A-Z]*$'"
    else:
        padded = "number GLOB '[A-Z][A-Z][A-Z]0[0-9]*' OR number GLOB '[A-Z0-9][A-Z0-9]0[0-9]*'"
    refuse_if(
        f"EXISTS (SELECT 1 FROM flights WHERE {padded})",
        "Flight numbers have leading zeros, which a program must take off; run: seatsaga migrate",
    )


def _flights_before() -> sa.Table:
    """The table as 0001 makes it: a script cannot look at it."""
    return sa.Table(
        "flights",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("departs_at", sa.BigInteger(), nullable=False),
        sa.Column("arrives_at", sa.BigInteger(), nullable=False),
        sa.Column("departs_on", sa.Text(), nullable=False),
        sa.Column("distance_miles", sa.Integer(), nullable=False),
        sa.Column("economy_minor", sa.BigInteger(), nullable=False),
        sa.Column("business_minor", sa.BigInteger(), nullable=False),
        sa.Column("first_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("load_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["destination"], ["airports.code"], name="fk_flights_destination"),
        sa.ForeignKeyConstraint(["origin"], ["airports.code"], name="fk_flights_origin"),
        sa.PrimaryKeyConstraint("id", name="pk_flights"),
        sa.UniqueConstraint("number", "departs_on", name="uq_flights_number_departs_on"),
        sa.Index("ix_flights_departs_at", "departs_at", "id"),
        sa.Index("ix_flights_load_id", "load_id", sqlite_where=sa.text("load_id IS NOT NULL")),
        sa.Index("ix_flights_route", "origin", "destination", "departs_on"),
    )


def _adopt_loads(loads: sa.Table) -> None:
    """Loads that run now have a row from here on."""
    hidden = op.get_bind().execute(
        sa.text("SELECT load_id, count(*) AS flights FROM flights WHERE load_id IS NOT NULL GROUP BY load_id")
    )
    now = time.time_ns() // 1_000
    op.bulk_insert(
        loads,
        [
            {
                "id": str(row.load_id),
                "source": "FILE",
                "owner": "the release before",
                "flights_expected": row.flights,
                "started_at": now,
                "heartbeat_at": now,
                "revealed_at": None,
                "abandoned_at": None,
            }
            for row in hidden
        ],
    )


def _take_zeros_off() -> None:
    """Remove leading zeros. Flights that would become the same stay as they are."""
    connection = op.get_bind()
    padded = connection.execute(sa.text("SELECT DISTINCT number FROM flights WHERE number LIKE '%0%'")).scalars().all()
    for number in padded:
        parts = _PADDED.fullmatch(number)
        if parts is not None:
            connection.execute(_PLAIN, {"padded": number, "plain": parts[1] + parts[2]})


def downgrade() -> None:
    op.execute(
        "UPDATE flights SET load_id = NULL WHERE load_id IN (SELECT id FROM flight_loads WHERE revealed_at IS NOT NULL)"
    )
    op.drop_index(op.f("ix_seat_reservations_flight_id_seat"), table_name="seat_reservations")
    op.drop_index("ix_flights_load_id", table_name="flights")
    op.create_index("ix_flights_load_id", "flights", ["load_id"], unique=False, **_LOADED)
    op.drop_index("uq_flights_departure", table_name="flights")
    with op.batch_alter_table("flights") as flights:
        flights.create_unique_constraint("uq_flights_number_departs_on", ["number", "departs_on"])
    op.drop_table("flight_loads")
