"""The page: whole without a network, hostile text stays text, and pictures that show the raw samples."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_judgement import EVERY_KIND, accepted, rejected_as_wrong, samples, timing

from assay.core.sources import SourceFile
from assay.errors import InputError
from assay.referee.timing.samples import Triples
from assay.report.axes import NARROW, WIDE
from assay.report.certificate import certificate_bytes, certificate_identity, make_certificate, read_certificate
from assay.report.drawing import figures
from assay.report.figures import call_times
from assay.report.page import render_page
from assay.report.scales import LogScale, even_ticks, tick_text

CREATED = datetime(2026, 11, 22, 6, 47, 19, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))


def certificate(kind="accepted"):
    return make_certificate(EVERY_KIND[kind](), created=CREATED)


class Outline(HTMLParser):
    """Every element with its attributes, and whether all are closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_page_is_well_formed_and_needs_nothing_else(kind):
    page = render_page(certificate(kind))
    outline = Outline(page)
    assert outline.open == []
    assert not {tag for tag, _ in outline.elements} & {"script", "link", "img", "iframe", "object", "form", "base"}
    for tag, attributes in outline.elements:
        assert not {"src", "href", "style", "xlink:href"} & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_picture_is_xml_with_words_and_no_broken_number(kind):
    page = render_page(certificate(kind))
    found = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(found) % 2 == 0
    for text in found:
        picture = ElementTree.fromstring(text)
        assert picture.get("role") == "img"
        assert len(picture.get("aria-label")) > 20
        assert not re.search(r"\b(nan|inf)\b", text.replace("baseline", ""))


def test_an_acceptance_has_all_four_pictures_in_both_widths():
    page = render_page(certificate())
    assert page.count('class="figure wide"') == page.count('class="figure narrow"') == 4


def test_the_verdict_and_its_reason_come_first():
    accept, wrong, slow, undecided = (Outline(render_page(certificate(k))).text for k in EVERY_KIND if k != "unbuilt")
    assert "1.61 times as fast" in accept
    assert "331 outputs verified" in accept
    assert wrong.index("wrong result") < wrong.index("Wrong on family 'shifted'") < wrong.index("Speed")
    assert "0.930 times as fast" in slow
    assert "speed not proved" in undecided


def test_what_was_not_reached_says_why():
    text = Outline(render_page(certificate("unbuilt"))).text
    for part in (
        "Not measured: the judgement had ended with does-not-build",
        "No output was verified",
        "No candidate process",
    ):
        assert part in text, part


def test_a_candidate_named_as_a_script_stays_text():
    judgement = rejected_as_wrong(SCRIPT)
    source = SourceFile(f"{SCRIPT}.cpp", f"// {SCRIPT}\n// \"' -->{{{{ 7 * 7 }}}}{{% raw %}}\u202e evil \x1b[2J\n")
    judgement = replace(judgement, candidate=replace(judgement.candidate, files=(source,)))
    page = render_page(make_certificate(judgement, created=CREATED))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "{{ 7 * 7 }}" in Outline(page).text
    assert "<U+202E> evil <U+001B>[2J" in Outline(page).text
    assert not set(page) & {"\u202e", "\x1b"}


def test_hostile_text_in_any_place_stays_text():
    hostile = "\"'><img src=x onerror=alert(1)></svg></style></title><!--{{7*7}}\u202e"
    kept = {"verdict", "weight", "created", "schema", "fault", "tier", "outcome"}

    def poison(value, key=""):
        if isinstance(value, str):
            return value if key in kept else hostile
        if isinstance(value, list):
            return [poison(each, key) for each in value]
        if isinstance(value, dict):
            if key in ("axes", "shapes", "dropped_families", "data", "environment"):
                return {f"{name}{hostile}": poison(each) for name, each in value.items()}
            return {name: poison(each, name) for name, each in value.items()}
        return value

    for kind in EVERY_KIND:
        page = render_page(poison(certificate(kind)))
        outline = Outline(page)
        assert "img" not in {tag for tag, _ in outline.elements}
        assert "<img" not in page
        assert "49" not in re.findall(r"<!--(\d+)", outline.text)
        assert "\u202e" not in page


@pytest.mark.parametrize("value", [0, -1, 1e-300, 1e300, 2**63])
def test_numbers_that_no_axis_can_hold_are_told_not_drawn(tmp_path, value):
    made = certificate()
    for path in (("overhead", "median_ns"), ("floor", "min_ns"), ("roofline", "candidate", "memory_fraction"),
                 ("roofline", "candidate", "ridge"), ("roofline", "baseline", "flops_per_s")):  # fmt: skip
        changed = read_back(tmp_path, made, ("timing", *path), value)
        if changed is not None:
            assert "</html>" in render_page(changed)
    for path in (("claim", "resolution"), ("claim", "speedup", "lower"), ("speedup", "ratio"), ("seconds",)):
        changed = read_back(tmp_path, made, path, value)
        if changed is not None:
            assert "</html>" in render_page(changed)


def read_back(tmp_path, made, path, value):
    """The certificate with one number changed, as its reader gives it; None where the reader refuses it."""
    changed = {**made}
    place = changed
    for key in path[:-1]:
        place[key] = dict(place[key])
        place = place[key]
    place[path[-1]] = value
    changed["identity"] = certificate_identity(changed)
    file = tmp_path / "changed.json"
    file.write_bytes(certificate_bytes(changed))
    try:
        return read_certificate(file)
    except InputError:
        return None


def test_a_task_without_operations_gets_bars_of_bandwidth():
    drawn = figures(certificate("undecided"))["roofline"]
    assert "roof: DRAM, 13.9 GB/s" in drawn[0]


def test_only_the_slowest_calls_are_counted_instead_of_drawn():
    measured = Triples.from_samples(timing(1.5).samples)
    for width in (WIDE, NARROW):
        text = call_times(measured, width)
        dots = text.count("h0")
        beyond = sum(int(number) for number in re.findall(r">(\d+) beyond", text))
        assert dots + beyond == 3 * len(measured.timed().round)
        assert beyond < 0.05 * dots


def test_pictures_stay_inside_their_frame():
    for kind in ("accepted", "slow", "undecided"):
        for drawn in figures(certificate(kind)).values():
            for text in re.findall(r"<svg.*?</svg>", drawn[0]):
                width, height = (float(part) for part in re.search(r'viewBox="0 0 (\S+) (\S+)"', text).groups())
                points = [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)h0", text)]
                assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
                for name, limit in (("x", width), ("y", height), ("x1", width), ("y2", height)):
                    assert all(0 <= float(v) <= limit for v in re.findall(rf' {name}="(-?[\d.]+)"', text))


def test_equal_times_can_be_drawn():
    flat = samples(Triples.from_arrays(np.repeat(np.arange(8), 5), np.full((40, 3), 2e6)))
    judgement = accepted()
    same = replace(judgement, timing=replace(judgement.timing, samples=flat))
    assert "</html>" in render_page(make_certificate(same, created=CREATED))


@given(st.floats(1e-9, 1e9), st.floats(1.02, 1e12), st.integers(3, 12))
def test_ticks_lie_on_the_axis_and_are_few(low, factor, most):
    scale = LogScale(low, low * factor, 0, 100)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in ticks)
    assert len({tick_text(tick) for tick in ticks}) == len(ticks)


def test_an_axis_names_round_numbers():
    assert LogScale(1.9, 2.5, 0, 1).ticks(6) == pytest.approx([2.0, 2.2, 2.4])
    assert LogScale(0.5, 40, 0, 1).ticks(7) == [0.5, 1, 2, 5, 10, 20]
    assert even_ticks(0.0, 1.0, 5) == pytest.approx([0, 0.5, 1.0])
    for low, high in ((0, 1), (2, 1), (1, 1), (1, float("inf")), (float("nan"), 1)):
        with pytest.raises(ValueError, match="axis"):
            LogScale(low, high, 0, 1)
