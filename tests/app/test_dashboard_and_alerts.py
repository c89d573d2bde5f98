"""The dashboard, the alert rules and the table of metrics speak of what a server exposes, and of nothing else."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, Expr, VectorSelector

from app.migrations import upgrade
from domain.incidents import Runbook, runbook_of
from domain.saga import SagaStatus
from tests.app.airline import Exposition, airline

DOCS: Final = Path(__file__).parents[2] / "docs"
OPERATIONS: Final = (DOCS / "operations.md").read_text()
RUNBOOKS: Final = (DOCS / "runbooks.md").read_text()
#: Each section of the runbooks says these.
SAID: Final = ["Customers", "Look", "Do", "Undo", "Tell"]
DASHBOARD: Final[dict[str, Any]] = json.loads((DOCS / "grafana" / "seatsaga.json").read_text())
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((DOCS / "alerts" / "seatsaga.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ROWS: Final = ["Sagas", "Compensations and STUCK", "Seats and holds", "Jobs", "Transport", "Engine", "Payment provider"]
#: What Prometheus itself knows of a target.
TARGET_METRICS: Final = {"up"}
TARGET_LABELS: Final = {"job", "instance"}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Exposition:
    """What a server exposes that has booked, failed, undone, and run a job."""
    folder = tmp_path_factory.mktemp("exposed")

    async def live() -> Exposition:
        url = f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}"
        await upgrade(url)
        async with airline(url, folder) as served:
            await served.ended(await served.book())
            await served.ended(await served.book({"failAt": ["CONFIRM_BOOKING"]}))
            await served.http.post("/admin/scheduler/jobs/release-expired-reservations/run")
            return await served.scrape()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, live()).result()


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and of the rules, as Prometheus gets it, by what it is for."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")
    for rule in RULES:
        yield rule["alert"], rule["expr"]


# ---------------------------------------------------------------------- queries


@pytest.mark.parametrize(("of", "query"), list(queries()))
def test_a_query_asks_for_series_and_labels_that_there_are(of: str, query: str, exposed: Exposition) -> None:
    parsed = promql_parser.parse(query)
    selectors = [part for part in parts(parsed) if isinstance(part, VectorSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name in exposed.names | TARGET_METRICS
        labels = labels_of(exposed, selector)
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels
            if "$" not in matcher.value and matcher.name not in TARGET_LABELS:
                assert some(labels[matcher.name], matcher.value), f"nothing has {matcher.name} {matcher.value}"
    for part in parts(parsed):
        if isinstance(part, AggregateExpr) and part.modifier is not None:
            within = [inner for inner in parts(part.expr) if isinstance(inner, VectorSelector)]
            known = set.union(*(set(labels_of(exposed, inner)) for inner in within))
            assert set(part.modifier.labels) <= known


def parts(expression: Any) -> list[Expr]:
    """The expression and everything in it."""
    found: list[Expr] = []
    promql_parser.walk(expression, lambda part: found.append(part))
    return found


def labels_of(exposed: Exposition, selector: VectorSelector) -> dict[str, set[str]]:
    """The values of each label that the series of this name have."""
    return {name: set() for name in TARGET_LABELS} | exposed.labels_of(selector.name or "")


def some(values: set[str], pattern: str) -> bool:
    return any(re.fullmatch(pattern, value) for value in values)


# ---------------------------------------------------------------------- the dashboard


def test_the_dashboard_has_its_rows_and_asks_the_data_source_that_is_chosen() -> None:
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ROWS
    (source,) = [variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "datasource"]
    assert (source["name"], source["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["datasource"] == chosen
        assert not any("datasource" in target for target in panel["targets"]), "each asks its panel's"
    asked_for = set(re.findall(r"\$(\w+)", json.dumps([target for panel in panels() for target in panel["targets"]])))
    assert asked_for == {"job", "instance", "__rate_interval"}


def test_no_two_panels_share_a_place_or_an_id() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


# ---------------------------------------------------------------------- the rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    said = rule["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    page, _, anchor = said["runbook_url"].partition("#")
    assert page == "https://seatsaga.example/saga/runbook"
    assert anchor in anchors(RUNBOOKS)
    assert anchor == rule["alert"].lower()


def test_an_operator_sets_the_address_of_all_runbooks_as_the_docs_say(tmp_path: Path) -> None:
    rules = shutil.copy(DOCS / "alerts" / "seatsaga.rules.yml", tmp_path)
    (command,) = re.findall(r"^sed -i .*seatsaga\.rules\.yml$", OPERATIONS, re.MULTILINE)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    given = re.findall(r"runbook_url: (.*)", Path(rules).read_text())

    assert len(given) == len(RULES)
    assert all(url.startswith("https://booking.your-company.example/saga/runbook#seatsaga") for url in given)
    assert "seatsaga.example" not in Path(rules).read_text()


def test_there_is_something_to_do_about_each_alert_and_about_no_other() -> None:
    described = re.findall(r"^### (Seatsaga\w+)$", RUNBOOKS, re.MULTILINE)
    assert described == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize("runbook", Runbook)
def test_there_is_something_to_do_about_each_kind_of_incident(runbook: Runbook) -> None:
    assert runbook.value in anchors(RUNBOOKS)


def test_each_code_that_the_runbooks_name_leads_to_its_section() -> None:
    for section in RUNBOOKS.split("## Alerts")[0].split("\n### ")[1:]:
        (anchor,) = anchors(f"### {section}")
        look = section.partition("**Look:**")[2].partition("**Do:**")[0]
        status = SagaStatus.PARKED if anchor == Runbook.PARKED else SagaStatus.STUCK
        codes = re.findall(r"`([A-Z_]{4,})`", look)
        assert codes
        assert {runbook_of(status, code).value for code in codes} == {anchor}


@pytest.mark.parametrize("section", RUNBOOKS.split("\n### ")[1:], ids=lambda section: section.partition("\n")[0])
def test_each_section_of_the_runbooks_answers_the_same_five_questions(section: str) -> None:
    assert re.findall(r"^- \*\*(\w+):\*\*", section, re.MULTILINE) == SAID


def anchors(markdown: str) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_within_the_docs_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


# ---------------------------------------------------------------------- the table


def test_the_table_of_metrics_is_all_that_is_exposed(exposed: Exposition) -> None:
    listed = dict(re.findall(r"^\| `(seatsaga_\w+)(?:\{([\w,]+)\})?` \|", OPERATIONS, re.MULTILINE))
    suffixes = re.compile(r"_(bucket|sum|count)$")
    found: dict[str, set[str]] = {}
    for name in exposed.names:
        if name.startswith("seatsaga_"):
            base = suffixes.sub("", name) if f"{suffixes.sub('', name)}_bucket" in exposed.names else name
            found.setdefault(base, set()).update(set(exposed.labels_of(name)) - {"le"})
    assert {name: set(filter(None, labels.split(","))) for name, labels in listed.items()} == found
