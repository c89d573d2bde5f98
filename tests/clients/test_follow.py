"""@seatsaga/follow as its users get it: small, packed, and installed beside nothing or beside graphql-ws."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.clients.javascript import FOLLOW, JavaScript, run

BYTES_MAX = 4_000
USE = """
import { follow, type SagaEvent } from '@seatsaga/follow';
const told: string[] = [];
for await (const event of follow<SagaEvent & { failure: null }>({ correlationId: 'x', signal: AbortSignal.abort() })) {
  const failure: null = event.failure;
  told.push(event.type, String(failure));
}
// @ts-expect-error A saga is named by its correlation ID.
follow({ url: '/graphql' });
console.log('followed', told.length);
"""


def test_the_package_keeps_its_promises_to_every_library(javascript: JavaScript) -> None:
    run(["npm", "run", "--silent", "test"], folder=FOLLOW)


def test_all_of_it_is_smaller_than_4_kb(javascript: JavaScript, tmp_path: Path) -> None:
    esbuild = FOLLOW.parent / "node_modules" / ".bin" / "esbuild"
    entries = ["dist/index.js", "dist/ws.js"]
    options = ["--bundle", "--minify", "--format=esm", "--splitting", "--external:graphql-ws", "--log-level=error"]
    run([str(esbuild), *entries, *options, f"--outdir={tmp_path}"], folder=FOLLOW)

    compressed = gzip.compress(b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir())))

    assert len(compressed) < BYTES_MAX


def test_the_packed_package_is_installed_typed_and_used_without_any_other(
    javascript: JavaScript, tmp_path: Path
) -> None:
    said = run(["npm", "pack", "--silent", f"--pack-destination={tmp_path}"], folder=FOLLOW)
    (tmp_path / "package.json").write_text(json.dumps({"name": "shop", "private": True, "type": "module"}))
    install = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", f"./{said.strip()}"]
    run(install, folder=tmp_path)
    (tmp_path / "use.ts").write_text(USE)
    tsc = FOLLOW.parent / "node_modules" / ".bin" / "tsc"
    run([str(tsc), "--strict", "--module", "NodeNext", "--target", "ES2022", "use.ts"], folder=tmp_path)

    assert run(["node", "use.js"], folder=tmp_path) == "followed 0\n"
    assert sorted(path.name for path in (tmp_path / "node_modules").iterdir() if path.is_dir()) == ["@seatsaga"]
