"""Where texts quote values that are not to be shown: whole, escaped, one line of many, or cut."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 6
"""Characters of a value from which on it is looked for in texts: shorter ones are words. Source: chosen."""

SHORTEST_SECRET: Final = 4
"""The same of a value whose name says that it is a secret. Source: chosen."""

GRAM: Final = 12
"""Characters by which a piece of a value is recognized. Source: chosen; addresses in the same bucket have as many in common."""

STRIDE: Final = 8
"""Every how many characters of a value a piece begins: what a text has of it is found from GRAM + STRIDE characters on. Source: chosen; memory."""

ALIKE: Final = 64
"""Values that are told apart by the same piece: of more, a text that was cut shows no more than what they share. Source: chosen; time."""

CUT: Final = "…"
"""What stands where something was cut out of a message. Source: domain/message.py, domain/failures.py."""

_STUMPS: Final = range(GRAM + STRIDE - 1, SHORTEST - 1, -1)
"""Sizes of what a cut may leave of a value, and no piece tells: the longest first."""


class Quoted:
    """Finds some values in texts. A text is walked once, however many values there are."""

    def __init__(self, values: Iterable[str], *, open_words: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        shown = frozenset(open_words)
        self._whole: dict[str, dict[int, set[str]]] = {}
        self._pieces: dict[str, list[tuple[str, int]]] = {}
        self._begins, self._ends = set[str](), set[str]()
        known = set[str]()
        for value, least in (*((each, SHORTEST) for each in values), *((each, SHORTEST_SECRET) for each in secrets)):
            for form in _forms(value):
                if len(form) >= least and form not in shown and form not in known:
                    known.add(form)
                    self._add(form)

    def without(self, text: str, word: str) -> str:
        """Return *text* with *word* in place of every value, and of every piece of one that is long enough to be told from chance."""
        if not self._whole:
            return text
        parts, done, at = list[str](), 0, 0
        while at < len(text):
            begin, end = self._found(text, at, done)
            if end <= at:
                at += 1
                continue
            parts += [text[done:begin], word]
            done = at = end
        return self._without_stumps("".join((*parts, text[done:])), word)

    def _without_stumps(self, text: str, word: str) -> str:
        """Return *text* without what a cut, which a mark or the end of the text shows, left of a value: too short to be told elsewhere."""
        before, mark, after = text.partition(CUT)
        while mark:
            stripped, rest = before.rstrip(), after.lstrip()
            before = self._without_end(stripped, word) + before[len(stripped) :] + mark
            size = next((size for size in _STUMPS if rest[:size] in self._ends), 0)
            left = f"{after[: len(after) - len(rest)]}{word}{rest[size:]}" if size else after
            more, mark, after = left.partition(CUT)
            before += more
        return self._without_end(before, word)

    def _without_end(self, text: str, word: str) -> str:
        size = next((size for size in _STUMPS if text[-size:] in self._begins), 0)
        return f"{text[:-size]}{word}" if size else text

    def _add(self, form: str) -> None:
        self._whole.setdefault(form[:SHORTEST_SECRET], {}).setdefault(len(form), set()).add(form)
        for size in (each for each in _STUMPS if each < len(form)):
            self._begins.add(form[:size])
            self._ends.add(form[-size:])
        for start in range(0, len(form) - GRAM + 1, STRIDE):
            known = self._pieces.setdefault(form[start : start + GRAM], [])
            if len(known) < ALIKE:
                known.append((form, start))

    def _found(self, text: str, at: int, done: int) -> tuple[int, int]:
        """Return where a value, or a piece of one, that is seen at *at* begins and ends; nothing before *done* belongs to it."""
        lengths = self._whole.get(text[at : at + SHORTEST_SECRET], {})
        begin, end = at, at + max((length for length, forms in lengths.items() if text[at : at + length] in forms), default=0)
        for form, start in self._pieces.get(text[at : at + GRAM], ()):
            before, after = at, at + GRAM
            while before > done and start - (at - before) > 0 and text[before - 1] == form[start - (at - before) - 1]:
                before -= 1
            while after < len(text) and start + after - at < len(form) and text[after] == form[start + after - at]:
                after += 1
            if after - before >= GRAM + STRIDE and after - before > end - begin:
                begin, end = before, after
        return begin, end


def _forms(value: str) -> Iterator[str]:
    """Yield a value in every form in which a text may have it."""
    yield value
    for each in (value, *(value.splitlines() if "\n" in value else ())):
        stripped = each.strip()
        yield stripped
        yield " ".join(stripped.split())
        yield json.dumps(stripped)[1:-1]
        yield json.dumps(stripped, ensure_ascii=False)[1:-1]
        yield repr(stripped)[1:-1]
        yield quote(stripped, safe="")
        yield quote_plus(stripped)
    yield base64.b64encode(value.encode()).decode().rstrip("=")
