"""Releases that follow one another while buyers go on, on PostgreSQL."""
