"""One search box over everything: what a text may name, and what there is under that name, the best match first.

`Wanted.of(text)` says what the text may be, without a look at the database: a correlation ID or its beginning, a
booking's reference, a flight number with or without a date, a member number, the provider's reference of a payment, a
family name. `find` looks up all of it in one read transaction. Every statement goes by an index and reads a limited
number of rows, so a search costs the same in a large database.
"""

from domain.search.finding import Hit, find
from domain.search.wanted import TEXT_CHARACTERS_MAX, Wanted

__all__ = ["TEXT_CHARACTERS_MAX", "Hit", "Wanted", "find"]
