"""The picture of the plugin in the docs is what the plugin writes."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree as ET

from tests.tidy.kubectl_page import PAGE
from tests.tidy.kubectl_picture import COLUMNS, PICTURE, drawn, story

from dataflow_local.cache import ROOT


def test_the_picture_is_what_the_plugin_writes() -> None:
    assert PICTURE.read_text() == drawn(story()), "draw it anew: python -m tests.tidy.kubectl_picture"


def test_every_line_of_the_terminal_is_in_it_and_fits() -> None:
    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in story().splitlines()]
    root = ET.fromstring(drawn(story()))  # noqa: S314 # our own
    shown = [unescape("".join(each.itertext())) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert shown == [line for line in lines if line]
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_each_state_has_its_colour_in_it() -> None:
    assert {"g", "y", "r", "f", "b", "p"} <= set(re.findall(r'class="(\w)"', drawn(story())))


def test_the_pages_show_it() -> None:
    for page in (PAGE, ROOT / "README.md"):
        assert re.search(r"!\[[^\]]+\]\([\w./]*kubectl/status\.svg\)", page.read_text()), page
