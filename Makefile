# make run      set up all, serve on http://127.0.0.1:8000
# make test     set up all, run all tests; PYTHON=python3.12 (or any from 3.11 on) makes .venv anew with that Python
# make smoke    a minute's worth of tests, one of every room, on SQLite: before each commit
# make test-newest    all tests on the newest version of every library, in .venv-newest
# make mutants  change the engine, seats and payments in small ways, and list the changes that no test notices (hours);
#               MUTANTS='domain.saga.machine*' for a part
# make check    style, types, import contracts, the schema against the code
# make wheel    dist/seatsaga-*.whl, with the console in it, and dist/seatsaga_client-*.whl, the library for clients
# make bench    measure, print one table, write bench/results.json; PYTHON=... as for make test
# make cluster  PostgreSQL, three replicas and a proxy on http://127.0.0.1:8000, to play with and to break

# A .venv stays with the Python that it was made with, until PYTHON names another.
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
BIN := .venv/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
STAMP := .venv/.complete-$(VERSION)
DBOS := .venv-dbos/.complete
# The client library is of this repository: it is installed beside what the lock names.
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-package seatsaga-client \
  --custom-compile-command "make lock" --quiet
CLIENTS := clients/node_modules/.complete
CONSOLE := app/console/static/.complete
CONSOLE_PACKAGES := console/node_modules/.complete
# Folders too: what was deleted changes one. Not console itself: that is the name of a target.
CONSOLE_SOURCES := $(shell find console/* \( -name node_modules -o -name generated -o -name browser -o -name tests \) -prune -o -print) \
  docs/runbooks.md $(wildcard clients/follow/src/*)
NODE_IS_THERE := node -e 'const [a, b] = process.versions.node.split("."); process.exit(+(a < 20 || (a == 20 && b < 19)))' \
  2>/dev/null && npm --version >/dev/null 2>&1
NPM_CI := npm ci --no-audit --no-fund --loglevel=error

# Of every room what tells soonest that it is broken.
SMOKE := $(addprefix tests/domain/,saga/test_forward.py saga/test_backward.py saga/test_states.py \
  bookings/test_scenarios.py bookings/test_idempotent_start.py bookings/test_hold_expiry.py \
  seats/test_allocation.py seats/test_holds.py payments/test_undo.py loyalty flights/test_queries.py \
  events/test_feed.py guard/test_guard.py reconciliation/test_judging.py jobs operators storage/test_driven.py \
  bulk/test_bulk_actions.py incidents/test_causes.py search/test_wanted.py \
  test_money.py test_ids.py test_clock.py \
  audit/test_examination.py::test_a_stopped_database_with_sagas_of_every_kind_is_clean) \
  $(addprefix tests/schema/,test_sdl.py test_mutations.py test_pagination.py) \
  $(addprefix tests/app/,test_settings.py test_private_parts.py test_makefile.py \
  test_graphql_over_http.py test_scheduler_admin.py)

# Tests that wait leave their core to others, so there is a worker more than cores of the smallest machine. The longest
# modules come first, as tests/conftest.py orders them, and not those with the most tests.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadscope --no-loadscope-reorder

# Tests start many processes: each would compile all our modules again.
unexport PYTHONDONTWRITEBYTECODE

# Programs that some tests need and pip and npm cannot bring: a Debian package is installed if apt-get may. Otherwise
# these tests are skipped; in .ci/run they fail. No service of a package may start, now or at a boot: the tests run their
# own.
PROGRAMS := chromium-headless-shell chromium pgbouncer faketime logrotate nginx haproxy caddy curl sqlite3 postgresql-client
# Without a browser's own window the stories take two thirds of the processor time. Where there is no such package,
# Chromium itself does as well.
HAS_chromium-headless-shell := [ -n "$$SEATSAGA_TEST_CHROMIUM" ] || chromium-headless-shell --version
HAS_chromium := $(HAS_chromium-headless-shell) || chromium --version
HAS_pgbouncer := pgbouncer --version
HAS_faketime := ls /usr/lib/*/faketime/libfaketimeMT.so.1 || ls /usr/lib/faketime/libfaketimeMT.so.1
HAS_logrotate := logrotate --version
HAS_nginx := nginx -v
HAS_haproxy := haproxy -v
HAS_caddy := caddy version
HAS_curl := curl --version | grep HTTP2
HAS_sqlite3 := sqlite3 --version
HAS_postgresql-client := psql --version

.DEFAULT_GOAL := run
.PHONY: run test test-console test-python smoke test-newest mutants setup console clients programs $(PROGRAMS) compiled \
  check check-console check-python wheel bench dbos cluster format lock clean

run: setup
	$(BIN)/seatsaga serve

test: test-console test-python

test-console: console
	@if $(NODE_IS_THERE); then cd console && npm run --silent test; fi

test-python: setup clients programs
	$(BIN)/python -m pytest $(SPREAD)

# The tests, compiled once and not once by each worker. The workers say what is wrong with them.
compiled: $(STAMP)
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null 2>&1 || true

smoke: setup
	@if $(NODE_IS_THERE); then cd console && npm run --silent test; fi
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -k "not postgresql and not asyncpg" $(SMOKE)

# Upper bounds are left out: what fails here is what a bound in pyproject.toml waits for.
test-newest: setup clients $(PROGRAMS)
	test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	$(BIN)/python -c 'import re, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), []); \
	  print(*(re.sub(r",<[^;]*", "", each) for each in wanted if not each.startswith("seatsaga")), sep="\n")' \
	  >.venv-newest/wanted.txt
	$(BIN)/uv pip install --quiet --python .venv-newest/bin/python --upgrade -r .venv-newest/wanted.txt
	$(BIN)/uv pip install --quiet --python .venv-newest/bin/python --no-deps --editable . --editable clients/python
	.venv-newest/bin/python -m pytest $(SPREAD)

# Not in .ci/run. docs/reliability.md says which survivors are known, and why.
mutants: setup
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

setup: $(STAMP) console

$(STAMP): requirements.lock pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "seatsaga needs Python 3.11 or newer; set PYTHON=python3.12 or whichever you have."; exit 1; }
	@test -e $(STAMP) || [ ! -e .venv ] || [ "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
	  2>/dev/null)" = "$(VERSION)" ] || { echo "Making .venv anew with Python $(VERSION)."; rm -rf .venv; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --editable . --editable clients/python
	touch $(STAMP)

# The console and GraphiQL. Without Node the server runs all the same, and serves plain pages in their place.
console:
	@if $(NODE_IS_THERE); then $(MAKE) --silent $(CONSOLE); \
	else echo "The console is not built: it needs Node 20.19 or newer, and npm. The server runs without it."; fi

$(CONSOLE): $(CONSOLE_PACKAGES) $(CONSOLE_SOURCES) schema/schema.graphql
	echo "Building the console."
	cd console && npm run --silent build && touch ../$@

$(CONSOLE_PACKAGES): console/package.json console/package-lock.json console/.npmrc
	cd console && $(NPM_CI) && touch node_modules/.complete

# The JavaScript clients of docs/clients.md. Without Node their tests are passed over; under .ci/run they fail.
clients: $(CLIENTS)

$(CLIENTS): clients/package.json clients/package-lock.json clients/.npmrc
	@if $(NODE_IS_THERE); then cd clients && $(NPM_CI) && npm run --silent --prefix follow build && touch node_modules/.complete; \
	else echo "The JavaScript clients are not tested: they need Node 20.19 or newer, and npm."; fi

programs: $(PROGRAMS)

$(PROGRAMS):
	@if ! (PATH="$$PATH:/usr/sbin"; $(HAS_$@)) >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then echo "Installing $@."; \
	  policy=/usr/sbin/policy-rc.d; \
	  [ -e $$policy ] || { trap 'rm -f $$policy' EXIT; trap 'exit 130' INT TERM; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; }; \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $@ \
	    && { ! [ -e /etc/init.d/$@ ] || update-rc.d $@ disable; } \
	    && rm -f /etc/systemd/system/*.wants/$@.service; } >/dev/null \
	  || echo "$@ could not be installed; the tests that find nothing in its place are skipped."; fi

check: check-python check-console

check-python: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/seatsaga schema --check

check-console: console
	@if $(NODE_IS_THERE); then cd console && npm run --silent check; fi

# What an earlier build left behind would be carried along.
wheel: setup
	rm -rf build clients/python/build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist \
	  . ./clients/python

bench: setup dbos
	$(BIN)/python -m bench

# What the engine is measured against, apart from what seatsaga needs. Where it cannot be had, the table says so.
dbos: $(DBOS)

$(DBOS): bench/dbos/requirements.lock
	@rm -rf .venv-dbos; { $(PYTHON) -m venv .venv-dbos && .venv-dbos/bin/python -m pip install --quiet \
	  --disable-pip-version-check --require-hashes -r $< && touch $@; } \
	  || { rm -rf .venv-dbos; echo "DBOS could not be installed; the bench leaves it out."; }

cluster: setup
	$(BIN)/python -m cluster $(ARGS)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if $(NODE_IS_THERE); then cd console && npm run --silent format; fi

# Versions and hashes of everything, for every platform; no index host is written.
lock: setup
	$(LOCK) pyproject.toml --extra dev --output-file requirements.lock
	$(LOCK) bench/dbos/requirements.in --output-file bench/dbos/requirements.lock

clean:
	rm -rf clients/node_modules clients/build clients/src/generated clients/src/__generated__ clients/follow/dist \
	  clients/follow/tests/build
	rm -rf clients/python/build clients/python/src/*.egg-info
	rm -rf console/node_modules console/src/api/generated app/console/static
	rm -rf .venv .venv-dbos .venv-newest .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info build mutants
