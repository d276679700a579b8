"""Plots: inline, scalable, in the page's colours, the same each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from rlsched.report.figures import Dot, axis_values, dot_plot

DOTS = [Dot("best <1>", 1.0, 0.5, 1.5, marked=True), Dot("other", 2.0, hollow=True), Dot("third", 3.0, 2.0, 9.0)]


def test_a_plot_is_one_svg_element_that_scales() -> None:
    svg = dot_plot(DOTS, "rejected CPU [%]", name="plot-a")
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert "height" not in root.attrib
    texts = {"".join(one.itertext()).strip() for one in root.iter() if one.tag.endswith("text")}
    assert {"best <1>", "other", "third", "rejected CPU [%]"} <= texts


def test_colours_are_the_pages_and_ids_are_the_plots_own() -> None:
    a, b = dot_plot(DOTS, "x", name="plot-a"), dot_plot(DOTS, "x", name="plot-b")
    assert not re.search(r"#0[123]0[123]0[123]|#000000", a)
    assert {"var(--ink)", "var(--soft)", "var(--accent)"} <= set(re.findall(r"var\(--\w+\)", a))
    ids = [set(re.findall(r'\bid="([^"]+)"', one)) for one in (a, b)]
    assert not ids[0] & ids[1]
    wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', a))
    assert wanted <= ids[0]


def test_the_same_dots_draw_the_same_text() -> None:
    assert dot_plot(DOTS, "x", name="p") == dot_plot(DOTS, "x", name="p")


def test_shares_are_drawn_as_percent() -> None:
    assert axis_values([0.5, None], 100.0) == [50.0, None]
    assert axis_values([0.5, None], 1.0) == [0.5, None]


def test_long_names_leave_room_for_the_picture() -> None:
    blend = "blend:dot_product=0.484,cosine=2.78,fgd=0.0263,fragmentation=2.94,devices=score"
    svg = dot_plot([Dot(blend, 1.0, 0.5, 1.5), Dot("best_fit", 2.0, None, None)], "GPU allocated", name="long")
    assert "…" in svg
    assert blend not in svg
    assert "blend:dot_product=0.484," in svg
    assert "best_fit" in svg
