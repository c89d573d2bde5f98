"""Whatever moment a process dies at, what it left behind ends exactly: on both databases, at every commit point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from domain.bookings import build_definitions
from domain.saga import CommitPoint, Remote
from sandbox import SandboxGateway, SqliteBooks
from tests.faults.child import OutsidePoint
from tests.faults.matrix import Matrix, PostgresqlStore, Result, SqliteStore, Zygote, report
from tests.faults.scenarios import SCENARIOS
from tests.witness import Witness

POINTS = [*CommitPoint, *OutsidePoint]
TURNS = {CommitPoint.TURN_BEFORE_COMMIT, CommitPoint.TURN_AFTER_COMMIT}
#: A start is its saga's first turn.
TURN_OF: dict[str, str] = {
    CommitPoint.START_BEFORE_COMMIT: CommitPoint.TURN_BEFORE_COMMIT,
    CommitPoint.START_AFTER_COMMIT: CommitPoint.TURN_AFTER_COMMIT,
}
CALLS = {CommitPoint.CALL_BEFORE_EFFECT, CommitPoint.CALL_AFTER_EFFECT}


class CrashMatrix:
    """What holds on either database."""

    def test_no_process_dies_and_every_scenario_ends_exactly(self, matrix: Matrix) -> None:
        must_be_exact(matrix.rehearsals())

    def test_every_step_and_compensation_of_every_definition_is_one_to_die_at(
        self, matrix: Matrix, tmp_path: Path
    ) -> None:
        """As a turn's work before and after its commit, and, where it is remote, before and after its call's effect."""
        definitions = build_definitions(SandboxGateway(SqliteBooks(tmp_path / "books.db")), hold_seconds=900).all
        wanted = set()
        for definition in definitions:
            for step in definition.steps:
                operations = [(step.name, step.action)]
                if step.compensation is not None:
                    operations.append((step.compensation.name, step.compensation.operation))
                for name, operation in operations:
                    points = TURNS | CALLS if isinstance(operation, Remote) else TURNS
                    wanted |= {(definition.name, name, point) for point in points}
        met = {
            (SCENARIOS[result.case.scenario].definition.value, name, TURN_OF.get(moment.point, moment.point))
            for result in matrix.rehearsals()
            for moment in result.moments
            for name in moment.names.split("+")
        }
        assert wanted - met == set()

    @pytest.mark.parametrize("point", POINTS)
    def test_killed_there_and_once_more_while_recovering_all_is_exact(self, matrix: Matrix, point: str) -> None:
        results = matrix.deaths_at(point)
        assert results, f"no scenario reaches {point}"
        must_be_exact(results)


def must_be_exact(results: list[Result]) -> None:
    """Fail with every case that is not, and with the logs of its sagas."""
    problems = report(results)
    if problems:
        pytest.fail(problems, pytrace=False)


#: What the engine does at its moments is the same as above, so at Stripe only one in so many cases is played.
STRIDE = 4


class CrashMatrixAtStripe:
    """What holds on either database with Stripe's gateway. The witness's books are the judge."""

    def test_whatever_goes_wrong_every_scenario_ends_exactly(self, matrix_at_stripe: Matrix) -> None:
        must_be_exact(matrix_at_stripe.rehearsals())

    def test_killed_anywhere_and_once_more_while_recovering_all_is_exact(self, matrix_at_stripe: Matrix) -> None:
        must_be_exact(matrix_at_stripe.deaths(STRIDE))


class TestOnSqlite(CrashMatrix, CrashMatrixAtStripe):
    """One file, one process at a time."""

    @pytest.fixture(scope="class")
    @classmethod
    def matrix(cls, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
        folder = tmp_path_factory.mktemp("crash-sqlite")
        with Zygote() as zygote:
            yield Matrix(SqliteStore(sqlite_template, folder), zygote, folder)

    @pytest.fixture(scope="class")
    @classmethod
    def matrix_at_stripe(
        cls, witness: Witness, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Matrix]:
        folder = tmp_path_factory.mktemp("crash-sqlite-stripe")
        with Zygote() as zygote:
            yield Matrix(SqliteStore(sqlite_template, folder), zygote, folder, witness)


class TestOnPostgresql(CrashMatrix, CrashMatrixAtStripe):
    """One server, which outlives its clients."""

    @pytest.fixture(scope="class")
    @classmethod
    def matrix(
        cls, postgres_url: URL, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Matrix]:
        folder = tmp_path_factory.mktemp("crash-postgresql")
        with Zygote() as zygote:
            yield Matrix(PostgresqlStore(postgres_url, postgres_template), zygote, folder)

    @pytest.fixture(scope="class")
    @classmethod
    def matrix_at_stripe(
        cls, witness: Witness, postgres_url: URL, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Matrix]:
        folder = tmp_path_factory.mktemp("crash-postgresql-stripe")
        with Zygote() as zygote:
            yield Matrix(PostgresqlStore(postgres_url, postgres_template, suffix="stripe"), zygote, folder, witness)
