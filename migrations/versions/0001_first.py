"""The first schema: flights and seats, sagas and their log, bookings, payments, loyalty, scheduler jobs.

Revision: 0001, after:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.Text().with_variant(sa.UUID(as_uuid=False), "postgresql")


def _where(condition: str) -> dict[str, Any]:
    """Of a partial index, on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "airports",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=False),
        sa.Column("longitude", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_airports")),
    )
    op.create_table(
        "bookings",
        sa.Column("id", _ID, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("cancellation_id", _ID, nullable=True),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("miles_awarded", sa.BigInteger(), nullable=False),
        sa.Column("points_redeemed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status = 'CONFIRMED' OR status = 'CANCELLING' OR status = 'CANCELLED'", name=op.f("ck_bookings_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sa.UniqueConstraint("reference", name=op.f("uq_bookings_reference")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_bookings_saga_id")),
    )
    op.create_index("ix_bookings_subject", "bookings", ["subject", "id"])
    op.create_index(
        "uq_bookings_cancellation_id",
        "bookings",
        ["cancellation_id"],
        unique=True,
        **_where("cancellation_id IS NOT NULL"),
    )
    op.create_table(
        "job_controls",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("run_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("runs", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_controls")),
    )
    op.create_table(
        "job_runs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("affected", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("replica", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('OK', 'FAILED', 'INTERRUPTED')", name=op.f("ck_job_runs_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_runs")),
    )
    op.create_index("ix_job_runs_job_id_id", "job_runs", ["job_id", "id"])
    op.create_table(
        "loyalty_accounts",
        sa.Column("member_number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_number", name=op.f("pk_loyalty_accounts")),
    )
    op.create_table(
        "passengers",
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("given_name", sa.Text(), nullable=False),
        sa.Column("family_name", sa.Text(), nullable=False),
        sa.Column("date_of_birth", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("saga_id", "position", name=op.f("pk_passengers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "payments",
        sa.Column("id", _ID, nullable=False),
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("correlation_id", _ID, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status = 'PENDING' OR status = 'AUTHORIZED' OR status = 'CAPTURED' OR status = 'VOIDED'"
            " OR status = 'REFUNDED' OR status = 'DECLINED' OR status = 'UNKNOWN'",
            name=op.f("ck_payments_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_payments_saga_id")),
    )
    op.create_index("ix_payments_reference", "payments", ["reference"])
    op.create_table(
        "replicas",
        sa.Column("id", _ID, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    op.create_index("ix_replicas_lease_until", "replicas", ["lease_until"])
    op.create_table(
        "saga_events",
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("correlation_id", _ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("compensation", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_step", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "sequence", name=op.f("pk_saga_events")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sagas",
        sa.Column("id", _ID, nullable=False),
        sa.Column("correlation_id", _ID, nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("uncertain", sa.Integer(), nullable=False),
        sa.Column("attempted_since", sa.BigInteger(), nullable=True),
        sa.Column("effects", sa.Integer(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("simulation", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("pinned_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("hold_expired_at", sa.BigInteger(), nullable=True),
        sa.Column("retry_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("skip_step", sa.Text(), nullable=True),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.Column("given_up", sa.Integer(), nullable=False),
        sa.Column("replica", _ID, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_step", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (status <> 'COMPLETED' AND status <> 'COMPENSATED' AND status <> 'ABANDONED')",
            name=op.f("ck_sagas_finished"),
        ),
        sa.CheckConstraint("direction = 'FORWARD' OR direction = 'BACKWARD'", name=op.f("ck_sagas_direction")),
        sa.CheckConstraint("phase = 'READY' OR phase = 'CALLING'", name=op.f("ck_sagas_phase")),
        sa.CheckConstraint(
            "status = 'PENDING' OR status = 'RUNNING' OR status = 'COMPENSATING' OR status = 'COMPLETED'"
            " OR status = 'COMPENSATED' OR status = 'STUCK' OR status = 'ABANDONED'",
            name=op.f("ck_sagas_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sagas")),
        sa.UniqueConstraint("correlation_id", name=op.f("uq_sagas_correlation_id")),
    )
    op.create_index("ix_sagas_due_at", "sagas", ["due_at"], **_where("due_at IS NOT NULL"))
    op.create_index("ix_sagas_finished_at", "sagas", ["finished_at"])
    op.create_index("ix_sagas_replica", "sagas", ["replica", "id"], **_where("finished_at IS NULL"))
    op.create_index("ix_sagas_started_at", "sagas", ["started_at"])
    op.create_index("ix_sagas_subject", "sagas", ["subject", "id"])
    op.create_table(
        "flights",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
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
        sa.Column("load_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["destination"], ["airports.code"], name=op.f("fk_flights_destination")),
        sa.ForeignKeyConstraint(["origin"], ["airports.code"], name=op.f("fk_flights_origin")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flights")),
        sa.UniqueConstraint("number", "departs_on", name=op.f("uq_flights_number_departs_on")),
    )
    op.create_index("ix_flights_departs_at", "flights", ["departs_at", "id"])
    op.create_index("ix_flights_load_id", "flights", ["load_id"], **_where("load_id IS NOT NULL"))
    op.create_index("ix_flights_route", "flights", ["origin", "destination", "departs_on"])
    op.create_table(
        "loyalty_entries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("member_number", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("pending_points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("saga_id", _ID, nullable=True),
        sa.Column("correlation_id", _ID, nullable=True),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "reason = 'OPENING' OR reason = 'AWARDED' OR reason = 'POSTED' OR reason = 'REVERSED'"
            " OR reason = 'REDEEMED' OR reason = 'REFUNDED'",
            name=op.f("ck_loyalty_entries_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["member_number"], ["loyalty_accounts.member_number"], name=op.f("fk_loyalty_entries_member_number")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_loyalty_entries")),
        sa.UniqueConstraint("saga_id", "reason", name=op.f("uq_loyalty_entries_saga_id_reason")),
    )
    op.create_index("ix_loyalty_entries_member_number", "loyalty_entries", ["member_number", "id"])
    op.create_table(
        "saga_labels",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("saga_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_saga_labels_saga_id")),
        sa.PrimaryKeyConstraint("label", "saga_id", name=op.f("pk_saga_labels")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "saga_steps",
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("compensation", sa.Text(), nullable=True),
        sa.Column("undo_status", sa.Text(), nullable=True),
        sa.Column("undo_attempt", sa.Integer(), nullable=False),
        sa.Column("undo_next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("undo_started_at", sa.BigInteger(), nullable=True),
        sa.Column("undo_finished_at", sa.BigInteger(), nullable=True),
        sa.Column("undo_summary", sa.Text(), nullable=True),
        sa.Column("undo_failure_code", sa.Text(), nullable=True),
        sa.Column("undo_failure_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status = 'PENDING' OR status = 'EXECUTING' OR status = 'RETRYING' OR status = 'COMPLETED'"
            " OR status = 'FAILED' OR status = 'SKIPPED' OR status = 'STUCK'",
            name=op.f("ck_saga_steps_status"),
        ),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_saga_steps_saga_id")),
        sa.PrimaryKeyConstraint("saga_id", "position", name=op.f("pk_saga_steps")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seats",
        sa.Column("flight_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seat", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status = 'AVAILABLE' OR status = 'HELD' OR status = 'BOOKED'", name=op.f("ck_seats_status")
        ),
        sa.CheckConstraint("seat BETWEEN 0 AND 161", name=op.f("ck_seats_seat")),
        sa.ForeignKeyConstraint(["flight_id"], ["flights.id"], name=op.f("fk_seats_flight_id")),
        sa.PrimaryKeyConstraint("flight_id", "seat", name=op.f("pk_seats")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seat_reservations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("saga_id", _ID, nullable=False),
        sa.Column("correlation_id", _ID, nullable=False),
        sa.Column("flight_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seat", sa.SmallInteger(), nullable=False),
        sa.Column("segment", sa.SmallInteger(), nullable=False),
        sa.Column("passenger", sa.SmallInteger(), nullable=False),
        sa.Column("cabin", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(status IN ('HELD', 'CONFIRMED')) = (ended_at IS NULL)", name=op.f("ck_seat_reservations_ended")
        ),
        sa.CheckConstraint(
            "cabin = 'ECONOMY' OR cabin = 'BUSINESS' OR cabin = 'FIRST'", name=op.f("ck_seat_reservations_cabin")
        ),
        sa.CheckConstraint(
            "status = 'HELD' OR status = 'CONFIRMED' OR status = 'RELEASED' OR status = 'EXPIRED'",
            name=op.f("ck_seat_reservations_status"),
        ),
        sa.CheckConstraint("expires_at > held_at", name=op.f("ck_seat_reservations_lifetime")),
        sa.CheckConstraint("segment >= 0 AND passenger >= 0", name=op.f("ck_seat_reservations_place")),
        sa.ForeignKeyConstraint(
            ["flight_id", "seat"], ["seats.flight_id", "seats.seat"], name=op.f("fk_seat_reservations_flight_id_seat")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seat_reservations")),
    )
    op.create_index(op.f("ix_seat_reservations_expires_at_id"), "seat_reservations", ["expires_at", "id"])
    op.create_index(
        "ix_seat_reservations_held", "seat_reservations", ["expires_at", "saga_id"], **_where("status = 'HELD'")
    )
    op.create_index(op.f("ix_seat_reservations_saga_id"), "seat_reservations", ["saga_id"])
    op.create_index(
        "uq_seat_reservations_live",
        "seat_reservations",
        ["flight_id", "seat"],
        unique=True,
        **_where("status IN ('HELD', 'CONFIRMED')"),
    )


def downgrade() -> None:
    for table in (
        "seat_reservations",
        "seats",
        "saga_steps",
        "saga_labels",
        "loyalty_entries",
        "flights",
        "sagas",
        "saga_events",
        "replicas",
        "payments",
        "passengers",
        "loyalty_accounts",
        "job_runs",
        "job_controls",
        "bookings",
        "airports",
    ):
        op.drop_table(table)
