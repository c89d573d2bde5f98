"""What docs/clients.md promises to tools: the documents of the k6 script fit the schema."""

from __future__ import annotations

import re

from graphql import build_schema, parse, validate

from tests.clients.snippets import ROOT

SCRIPT = ROOT / "bench" / "k6" / "bookings.js"


def test_every_document_of_the_k6_script_fits_the_schema() -> None:
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text())
    documents = re.findall(r"^const [A-Z]+ = `([^`]*\{[^`]*)`;$", SCRIPT.read_text(), re.MULTILINE)
    documents = [document for document in documents if "$" + "{" not in document]

    assert len(documents) == 3
    for document in documents:
        assert validate(schema, parse(document)) == []
