"""The commands of `seatsaga`, one module a group: what works on the database, and what talks to a server."""
