"""Writes the data that the examples read: orders.csv and harbour-log.txt. The same rows every time.

python examples/data/make_data.py FOLDER
"""

from __future__ import annotations

import csv
import random
import sys
from datetime import date, timedelta
from pathlib import Path

ORDERS = 5000
LINES = 4000
SEED = 20261125
"""Any number would do; a fixed one makes the rows the same on every machine."""

COUNTRIES = {"DE": 30, "FR": 22, "PL": 14, "ES": 12, "IT": 11, "NL": 7, "PT": 4}
"""Countries and how often they order, in percent."""

PRODUCTS = {"lamp": 3495, "chair": 8900, "desk": 24900, "shelf": 11950, "rug": 6400, "clock": 2799}
"""Products and their unit price in cents."""

STATUSES = ("paid", "paid", "paid", "paid", "paid", "paid", "paid", "refunded", "cancelled")

FOLLOWED = 0.4
"""Share of sentences that name a second ship."""

SHIPS = ("Aurora", "Borealis", "Castor", "Dione", "Electra", "Fortuna", "Halcyon", "Iris")
PLACES = ("the inner basin", "the north quay", "the outer roads", "berth four", "the grain terminal", "the coal pier")
DEEDS = ("moored at", "sailed from", "dropped anchor off", "took on water at", "unloaded timber at", "waits for a pilot near")
SKIES = ("fog", "a light breeze", "heavy rain", "a clear sky", "a gale from the west", "calm water")


def write_orders(path: Path) -> None:
    """Write the orders, one per row, with a header."""
    pick = random.Random(SEED)
    with path.open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["order_id", "day", "country", "product", "quantity", "unit_price_cents", "status"])
        for number in range(1, ORDERS + 1):
            product = pick.choice(tuple(PRODUCTS))
            day = date(2026, 1, 1) + timedelta(days=pick.randrange(300))
            country = pick.choices(tuple(COUNTRIES), tuple(COUNTRIES.values()))[0]
            rows.writerow([f"o-{number:05}", day, country, product, pick.randint(1, 6), PRODUCTS[product], pick.choice(STATUSES)])


def write_log(path: Path) -> None:
    """Write a harbour master's log, one sentence per line."""
    pick = random.Random(SEED)
    with path.open("w") as out:
        for hour in range(LINES):
            ship, other = pick.sample(SHIPS, 2)
            sentence = f"The {ship} {pick.choice(DEEDS)} {pick.choice(PLACES)} in {pick.choice(SKIES)}"
            tail = f", and the {other} follows" if pick.random() < FOLLOWED else ""
            out.write(f"{hour % 24:02}:00 {sentence}{tail}.\n")


def main(folder: Path) -> None:
    """Write both files into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    write_orders(folder / "orders.csv")
    write_log(folder / "harbour-log.txt")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            main(Path(folder))
        case _:
            sys.exit("usage: make_data.py FOLDER")
