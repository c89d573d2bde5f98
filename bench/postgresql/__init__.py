"""The measurements on PostgreSQL: all contestants take turns on one durable server."""
