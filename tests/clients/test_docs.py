"""What docs/clients.md shows is what the tests run."""

from __future__ import annotations

import re

import pytest
from graphql import build_schema, parse, validate

from tests.clients.snippets import PAGE, ROOT, Snippet, regions, shown, source

WRITE_ANEW = "the page is out of date; run: .venv/bin/python -m tests.clients.snippets"


@pytest.mark.parametrize("snippet", shown(), ids=lambda snippet: snippet.of)
def test_a_block_of_the_page_is_what_its_file_says(snippet: Snippet) -> None:
    assert snippet.text == source(snippet.of), WRITE_ANEW


def test_every_region_of_a_client_is_shown() -> None:
    files = [
        *(ROOT / "clients" / "src").glob("*.ts"),
        ROOT / "clients" / "gql_client.py",
        ROOT / "clients" / "python_client.py",
    ]
    marked = {f"{file.relative_to(ROOT)}#{name}" for file in files for name in regions(file.read_text())}

    assert marked <= {snippet.of for snippet in shown()}


def test_no_code_on_the_page_is_without_a_file_and_every_operation_fits_the_schema() -> None:
    languages = re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE)
    operations = re.findall(r"^```graphql\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text())

    assert len(languages) == len(shown()) + len(operations)
    for operation in operations:
        assert validate(schema, parse(operation)) == []
