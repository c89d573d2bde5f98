"""`seatsaga find`, against a running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from app.client import Client
from tests.app.whole import ADMIN_TOKEN
from tests.support.children import environment, seatsaga, serving_child

BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename } } }"""
ENDED: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) { booking { reference } } }"
NEXT: Final = "{ flights(first: 20) { edges { node { id number } } } }"


async def test_find_prints_what_a_text_names(tmp_path: Path) -> None:
    env = environment(tmp_path, admin_token=ADMIN_TOKEN)
    async with serving_child(tmp_path, env) as child, Client(child.url, ADMIN_TOKEN) as api:
        flight = (await api.query(NEXT))["flights"]["edges"][-1]["node"]
        people = [{"givenName": "Ana", "familyName": "García [red]"}]
        order = {"segments": [{"flightId": flight["id"]}], "passengers": people}
        saga_id = (await api.query(BOOK, input=order))["bookFlight"]["saga"]["correlationId"]
        reference = (await api.query(ENDED, id=saga_id))["saga"]["booking"]["reference"]

        def find(*arguments: str) -> tuple[int, str]:
            ended = seatsaga("find", *arguments, "--url", child.url, env=env, folder=tmp_path)
            assert ended.stderr == ""
            return ended.returncode, " ".join(ended.stdout.split())

        for text in ("garcia", reference.lower(), "GARCÍA"):
            code, said = await asyncio.to_thread(find, text)
            assert code == 0
            assert all(word in said for word in ("booking", reference, "Ana García [red]", flight["number"], saga_id))
        code, said = await asyncio.to_thread(find, saga_id[:13], "--json")
        assert (code, json.loads(said)["correlationId"]) == (0, saga_id)
        for text, words in ((flight["number"], "seats free"), ("SS0000001", "50,000 points")):
            code, said = await asyncio.to_thread(find, text, "--limit", "3")
            assert code == 0
            assert words in said
        assert await asyncio.to_thread(find, "nobody") == (1, "Nothing found.")
