"""Builds a running seatsaga from settings: the only module that picks adapters and connects the parts.

::

    Settings ──▶ Backend(settings)      everything is created, nothing is started
                     │ running()        lock ▸ fitness ▸ schema ▸ gateway ▸ demo data ▸ guard ▸ engine ▸ scheduler
                     ▼
                 in service             and, at its end, the same in reverse order

If a setting cannot be fulfilled, the start ends with a ConfigurationError or SchemaError before it
changes any saga.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final, TextIO

from sqlalchemy.ext.asyncio import AsyncConnection

from app import migrations
from app.database_files import log_trimming, require_sound
from app.database_fitness import fitness_warnings, require_fit
from app.http.auth import OUR_SUBJECTS, Authenticator, JwtAuthenticator, OpenAuthenticator
from app.http.jwks import KeySet
from app.migrations import SchemaState
from app.observability.bulk_lines import log_bulk_actions
from app.observability.guard_metrics import GuardCounts, log_turns
from app.observability.incident_gauges import IncidentGauges, read_troubles
from app.observability.lines import SubjectNames
from app.observability.logging import Logs
from app.observability.metrics import Metrics, SinkCounts
from app.observability.standing import StandingGauges, read_standing
from app.payment_gateways import payment_gateway
from app.payment_news import PaymentNews
from app.private_files import keep_token, tighten
from app.provider_books import has_books, provider_books
from app.readiness import readiness_of
from app.scheduler import Scheduler, known_jobs, scheduled_jobs
from app.settings import Settings
from domain import flights, loyalty, seats
from domain.bookings import Bookings, build_definitions, fill_family_names
from domain.bulk import BulkActions
from domain.clock import wall_now
from domain.errors import ConfigurationError
from domain.guard import BreakerState, Guard, GuardWatch, ProviderControls
from domain.jobs import Jobs
from domain.payments import PaymentGateway
from domain.reconciliation import Reconciliation
from domain.saga import SagaEngine, live_replicas
from domain.seats import SeatChanges
from domain.storage import Database, FileLock, Sweep, database_file
from domain.telemetry import Telemetry
from schema.context import Services

__all__ = ["Backend", "log_names"]

#: The card for a booking that names none, with the sandbox as provider.
SANDBOX_CARD: Final = "pm_card_visa"
_SEED_REPORT_FLIGHTS: Final = 100
#: The rows of killed imports that one turn removes at most.
_REMAINS_FLIGHTS_MAX: Final = 500
_logger = logging.getLogger("seatsaga")


class Backend:
    """Everything behind the HTTP surface, built from `settings`; it works while `running()` lasts.

    `console`: the stream of log lines besides the files; standard error if None. For benchmarks,
    `gateway` replaces that of the settings, and `says_events=False` omits saga events from the logs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        console: TextIO | None = None,
        gateway: PaymentGateway | None = None,
        says_events: bool = True,
    ) -> None:
        self.settings = settings
        self._tightened = tighten(settings)
        self._says_events = says_events
        self.database = Database(
            settings.database_url,
            bounds=settings.database_bounds,
            direct_url=settings.database_direct_url,
        )
        telemetry = Telemetry()
        self.guard = Guard(gateway.name if gateway else settings.payments, settings.guard_limits, telemetry=telemetry)
        self.gateway = gateway or payment_gateway(settings, on_request=self.guard.note_request)
        definitions = build_definitions(
            self.gateway,
            hold_seconds=settings.hold_seconds,
            closing_seconds=settings.closing_minutes * 60,
            gate=self.guard,
        )
        self.engine = SagaEngine(
            self.database,
            definitions.all,
            lease_seconds=settings.lease_seconds,
            release=version("seatsaga"),
            revision=migrations.head(),
            active_sagas_max=settings.sagas_active_max,
            hints=settings.database_hints == "on",
            telemetry=telemetry,
        )
        self.guard_watch = GuardWatch(
            self.database, self.guard, ProviderControls(self.database, self.guard.provider), self._count_replicas
        )
        self.bookings = Bookings(
            self.engine,
            definitions,
            simulation_allowed=settings.simulation_allowed,
            default_token=SANDBOX_CARD if settings.payments == "sandbox" else None,
            limits=settings.caller_limits.inventory,
            payments_unavailable=lambda: self.guard.unavailable_seconds,
        )
        self.news = PaymentNews(self.database, self.gateway, self.guard, self.bookings, telemetry=telemetry)
        self.seat_changes = SeatChanges(self.database)
        known = known_jobs(settings.expiry_interval_seconds)
        self.reconciliation = Reconciliation(
            self.database,
            self.gateway,
            partial(provider_books, self.gateway),
            may_ask=self._has_time_for_books,
        )
        self.jobs = Jobs(self.database, known, telemetry=self.engine.telemetry)
        turns = scheduled_jobs(
            known,
            release_expired=self.bookings.release_expired,
            recover=self.engine.runner.recover_and_announce,
            prune=self._prune,
            reconcile=self._reconcile,
            fill_names=partial(self.database.write, fill_family_names),
            extend_demo=self._extend_demo,
        )
        self.bulk = BulkActions(self.engine, is_crowded=lambda: any(self.guard.standing.waiting.values()))
        self.scheduler = Scheduler(self.jobs, turns, replica=self.engine.replica.id, telemetry=self.engine.telemetry)
        self.services = Services(
            self.database,
            self.engine,
            self.bookings,
            self.seat_changes,
            self.guard_watch,
            self.bulk,
            accounts_are_open=settings.auth == "none",
            page_rows_max=settings.page_rows_max,
        )
        self.admin_token = _admin_token(settings)
        self.authenticate = _authenticator(settings, self.admin_token)
        self.logs = Logs(
            settings.log_folder,
            form=settings.log_format,
            console=console,
            origin={"replica": self.engine.replica.id, "release": version("seatsaga")},
            names=log_names(settings),
            file_bytes_max=settings.log_file_bytes_max,
        )
        self.readiness = readiness_of(
            self.database,
            self.engine,
            self.scheduler,
            self.jobs,
            besides={
                **fitness_warnings(settings, self.database),
                "log": self._log_trouble,
                "payments": self._provider_trouble,
            },
        )
        self.metrics = Metrics(definitions.all, [job.id for job in known])
        self.standing = StandingGauges(
            partial(read_standing, self.database, self.jobs),
            self.readiness,
            definitions=[definition.name for definition in definitions.all],
        )
        self.incidents = IncidentGauges(partial(read_troubles, self.database))
        self._show()

    async def refresh_gauges(self) -> None:
        """Read the gauges of the database again, unless they are fresh."""
        await asyncio.gather(self.standing.refresh(), self.incidents.refresh())

    @asynccontextmanager
    async def running(self, *, before_changes: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """In service while the block lasts. Raises ConfigurationError or SchemaError if it cannot start.

        `before_changes` is called after the database is locked and before anything in it is changed. If
        it raises, nothing is changed.

        Ends in reverse order: no new sagas start, running calls get a few seconds to finish, and the
        next start or another replica continues the remaining sagas.
        """
        async with AsyncExitStack() as stack:
            self._open_logs(stack)
            for note in self._tightened:
                _logger.warning(note)
            alone = self._lock(stack)
            stack.push_async_callback(self.database.close)
            await self._require_fit_database()
            if before_changes is not None:
                before_changes()
            await self._bring_schema()
            await self.gateway.start()
            stack.push_async_callback(self.gateway.close)
            if self.settings.is_embedded:
                await self._seed_if_open()
            trimming = log_trimming(self.settings)
            trimming.start()
            stack.push_async_callback(trimming.stop)
            self._listen(stack)
            await self.guard_watch.start()
            stack.push_async_callback(self.guard_watch.stop)
            await self.engine.open(alone=alone)
            stack.push_async_callback(self.engine.close)
            # A migration that ends a release checks for its replicas. It can see this one only now, so check again.
            migrations.require_served(await migrations.standing_within(self.database))
            stack.push_async_callback(self.seat_changes.close)
            self.news.start()
            stack.push_async_callback(self.news.stop)
            self.bulk.start()
            stack.push_async_callback(self.bulk.stop)
            await self.scheduler.start()
            stack.push_async_callback(self.scheduler.stop)
            self._begin_to_authenticate(stack)
            _logger.info("In service as replica %s.", self.engine.replica.id)
            yield
            _logger.info("Stopping: no new sagas start; running calls finish.")

    async def _log_trouble(self) -> str | None:
        return self.logs.trouble

    async def _provider_trouble(self) -> str | None:
        """A warning and no check: if it failed, all replicas would be taken out of service, which can still hold."""
        standing = self.guard.standing
        match standing.state:
            case BreakerState.CLOSED:
                return None
            case BreakerState.PAUSED:
                told = "an operator has paused it"
            case BreakerState.OPEN:
                told = "it keeps failing, so no call is sent"
            case BreakerState.HALF_OPEN:
                told = "only a few calls are sent, until they have succeeded"
        because = f": {standing.reason}" if standing.reason else ""
        return f"the payment provider {self.guard.provider}: {told}{because}"

    async def _count_replicas(self, connection: AsyncConnection) -> int:
        return len(await live_replicas(connection, at=await self.database.clock.now(connection)))

    def begin_to_stop(self, *, for_good: bool = False) -> None:
        """Become not ready, and answer requests that wait for a saga. `for_good`: new requests do not wait either."""
        self.readiness.is_stopping = True
        self.engine.let_go(for_good=for_good)

    async def _prune(self) -> int:
        """One turn of prune-history: runs each of its sweeps, even if others fail."""
        sweep = Sweep("record")
        await sweep.part("all job runs", self.jobs.prune)
        await sweep.part("all replicas", self.engine.replica.prune)
        await sweep.part("all loads", self._remove_remains)
        return sweep.end()

    async def _reconcile(self) -> int:
        """One turn of reconcile-payments."""
        return await self.reconciliation.turn() if has_books(self.gateway) else 0

    async def _extend_demo(self) -> int:
        """One turn of extend-demo-timetable."""
        return await flights.extend_demo(
            self.database, now=wall_now(), add_seats=seats.add_seats, remove_seats=seats.remove_seats
        )

    def _has_time_for_books(self) -> bool:
        """Whether calls to the provider are sent, if only a few, and no customer's call waits for its turn."""
        return self.guard.unavailable_seconds is None and not any(self.guard.standing.waiting.values())

    async def _remove_remains(self) -> int:
        return await flights.remove_remains(
            self.database, remove_seats=seats.remove_seats, flights_max=_REMAINS_FLIGHTS_MAX
        )

    # ------------------------------------------------------------------ metrics

    def _show(self) -> None:
        """Add the gauges and counters that other parts keep to the metrics."""
        runner, limit = self.engine.runner, self.settings.sagas_active_max
        self.metrics.collect_from(self.standing)
        self.metrics.collect_from(self.incidents)
        self.metrics.gauge(
            "seatsaga_sagas_in_flight", "Sagas of this replica that have not ended.", lambda: runner.active
        )
        self.metrics.gauge(
            "seatsaga_sagas_in_flight_limit", "Limit of sagas in flight; beyond it new ones are refused.", lambda: limit
        )
        self.metrics.gauge("seatsaga_tasks", "Tasks of the event loop.", lambda: len(asyncio.all_tasks()))
        notifier = self.engine.notifier
        self.metrics.counter(
            "seatsaga_hints_sent",
            "Change notifications sent to other replicas.",
            lambda: notifier.sent if notifier else 0,
        )
        self.metrics.counter(
            "seatsaga_hints_heard",
            "Change notifications received from other replicas.",
            lambda: notifier.heard if notifier else 0,
        )
        self.metrics.collect_from(SinkCounts(self.logs))
        self.metrics.collect_from(GuardCounts(self.guard))

    # ------------------------------------------------------------------ the start, step by step

    def _open_logs(self, stack: AsyncExitStack) -> None:
        stack.callback(self.logs.close)
        try:
            self.logs.open()
        except OSError as error:
            raise ConfigurationError(
                f"SEATSAGA_LOG_DIR={self.settings.log_dir}: log files cannot be written there "
                f"({error.filename}: {error.strerror})."
            ) from error

    def _lock(self, stack: AsyncExitStack) -> bool:
        """Lock the embedded database for this process; returns whether the database is embedded."""
        if not self.settings.is_embedded:
            return False
        path = database_file(self.database.url)
        lock = FileLock(path)
        try:
            is_ours = lock.acquire()
        except OSError as error:
            raise ConfigurationError(f"{error.filename or path} cannot be written ({error.strerror}).") from error
        if not is_ours:
            raise ConfigurationError(
                f"{path} is served by another process; stop it, or set SEATSAGA_DATABASE_URL to another database."
            )
        stack.callback(lock.release)
        require_sound(self.settings, lock)
        return True

    async def _require_fit_database(self) -> None:
        """Refuse an unfit PostgreSQL server, and log warnings about a fit one."""
        for warning in (await require_fit(self.settings, self.database)).values():
            _logger.warning("The database: %s.", warning)

    async def _bring_schema(self) -> None:
        """Migrate an embedded database; refuse any database that this version may not serve."""
        url = self.settings.direct_url
        behind = await migrations.schema_state(url) in (SchemaState.EMPTY, SchemaState.BEHIND)
        if self.settings.is_embedded and behind:
            await migrations.upgrade(url, alone=True)
            _logger.info("The schema of %s is now at %s.", self.database.url.database, migrations.head())
        await migrations.require_current(url)

    async def _seed_if_open(self) -> None:
        """Add demo data only under auth `none`, where people try the server out."""
        if self.settings.auth == "none":
            await self._seed()
        if await flights.has_none(self.database):
            _logger.info("There are no flights; add some with: seatsaga import-flights FILE.csv, or seatsaga seed")

    async def _seed(self) -> None:
        """Fill an empty embedded database with the demo timetable and its members, or add its next days."""

        def report(done: int, total: int) -> None:
            if done == total or done // _SEED_REPORT_FLIGHTS > reported[0]:
                reported[0] = done // _SEED_REPORT_FLIGHTS
                _logger.info("Demo timetable: %d of %d flights.", done, total)

        reported = [0]
        added = await flights.seed_flights(
            self.database,
            now=wall_now(),
            source=flights.LoadSource.START,
            add_seats=seats.add_seats,
            remove_seats=seats.remove_seats,
            progress=report,
        )
        if added:
            members = await loyalty.seed_members(self.database)
            _logger.info("Added %d flights with %d seats, and %d members.", added, added * seats.SEATS, members)

    def _begin_to_authenticate(self, stack: AsyncExitStack) -> None:
        self.authenticate.start()
        stack.push_async_callback(self.authenticate.close)
        if self.settings.auth == "jwt" and self.settings.jwks_url and self.settings.jwt_audience is None:
            _logger.warning(
                "Tokens for any audience are accepted; set SEATSAGA_JWT_AUDIENCE, unless all are for this server."
            )

    def _listen(self, stack: AsyncExitStack) -> None:
        """Connect logs, metrics and live seat maps to the engine's signals."""
        if self._says_events:
            stack.callback(self.engine.telemetry.attach(self.logs.hear))
        for handler in (self.metrics.hear, log_turns, log_bulk_actions, partial(_wake, self.seat_changes)):
            stack.callback(self.engine.telemetry.attach(handler))


def log_names(settings: Settings) -> SubjectNames:
    """The names of callers in the log. Without a configured secret, the key is random and new at each start."""
    return SubjectNames(settings.log_secret or secrets.token_hex(), plain=OUR_SUBJECTS)


def _wake(changes: SeatChanges, signal: object) -> None:
    changes.wake()


def _admin_token(settings: Settings) -> str | None:
    """The admin token: as set; else created and kept if all callers are on this machine (auth `none`); else None."""
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    return keep_token(settings.data_dir) if settings.auth == "none" else None


def _authenticator(settings: Settings, admin_token: str | None) -> Authenticator:
    if settings.auth == "none":
        assert admin_token is not None, "kept in the data folder"
        return OpenAuthenticator(admin_token)
    return JwtAuthenticator(
        admin_token=admin_token,
        secret=settings.jwt_secret.get_secret_value() if settings.jwt_secret else None,
        key_set=KeySet(settings.jwks_url) if settings.jwks_url else None,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_seconds=settings.jwt_leeway_seconds,
    )
