"""The same booking on DBOS, in a virtual environment of its own: seatsaga does not depend on it."""
