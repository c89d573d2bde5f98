"""The seat map."""

from __future__ import annotations

import pytest

from domain.seats import SEATS, CabinClass, cabin_seats, cabins_of, seat_index, seat_number


def test_every_seat_has_a_number_that_names_it_again() -> None:
    assert [seat_index(seat_number(seat)) for seat in range(SEATS)] == list(range(SEATS))
    assert (seat_number(0), seat_number(17), seat_number(18), seat_number(161)) == ("1A", "3F", "4A", "27F")


def test_a_seat_number_is_read_in_either_case() -> None:
    assert seat_index("12c") == seat_index("12C") == 68


@pytest.mark.parametrize(
    "number",
    [
        "",
        "C",
        "12",
        "0A",
        "01A",
        "28A",
        "100A",
        "1G",
        "1AA",
        " 1A",
        "1A ",
        "1A\n",
        "\N{ARABIC-INDIC DIGIT ONE}A",
        "-1A",
    ],
)
def test_what_no_aircraft_has_is_no_seat(number: str) -> None:
    assert seat_index(number) is None


@pytest.mark.parametrize(
    ("cabin", "seats", "first", "last"),
    [(CabinClass.ECONOMY, 144, "4A", "27F"), (CabinClass.BUSINESS, 18, "3A", "2F"), (CabinClass.FIRST, 12, "1A", "2F")],
)
def test_a_cabin_sells_its_rows_in_order(cabin: CabinClass, seats: int, first: str, last: str) -> None:
    order = cabin_seats(cabin)
    assert len(order) == len(set(order)) == seats
    assert (seat_number(order[0]), seat_number(order[-1])) == (first, last)


def test_rows_1_and_2_are_sold_as_first_and_as_business() -> None:
    assert set(cabins_of(0)) == set(cabins_of(11)) == {CabinClass.FIRST, CabinClass.BUSINESS}
    assert cabins_of(12) == cabins_of(17) == (CabinClass.BUSINESS,)
    assert cabins_of(18) == cabins_of(161) == (CabinClass.ECONOMY,)
