"""The pictures of the book: one look, findings that are true, small files of the same bytes."""

import re
import struct
from importlib import import_module
from itertools import combinations

import numpy as np
import pytest
from test_house import ROOT

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from minirl.__main__ import main
from minirl.pictures import style
from minirl.pictures.gallery import PICTURES

NAMES = [picture.name for picture in PICTURES]
NUMBERS = {}  # what a picture draws, computed once


def numbers_of(name):
    """The numbers of a picture, from seed 0."""
    if name not in NUMBERS:
        NUMBERS[name] = next(p for p in PICTURES if p.name == name).data(0)
    return NUMBERS[name]


def words_of(figure):
    """All words on a figure as they are drawn, and where: list of (text, box in dots)."""
    figure.set_dpi(style.DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [text for text in figure.findobj(Text)
             if text.get_visible() and text.get_text().strip()]
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in axis.get_major_ticks() + axis.get_minor_ticks()
             for label in (tick.label1, tick.label2)}
    shown = {tick.label1 for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in axis._update_ticks()}  # which are within the panel
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found
            if text not in ticks or text in shown]


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_a_picture_says_a_finding_and_belongs_to_a_chapter(picture):
    """The title is a sentence that fits; the caption is one line; the tag is one of the book."""
    assert picture.finding[0].isupper() or not picture.finding[0].isascii()
    assert not picture.finding.endswith(".") and len(picture.finding) <= 84
    assert not picture.caption.endswith(".") and "\n" not in picture.caption
    assert import_module(f"minirl.{picture.chapter}" if "." in picture.chapter
                         else f"{picture.chapter}").__doc__
    if picture.tag:
        stem = picture.tag.partition(".")[0]
        path, = (path for path in ROOT.glob(f"*/*/{stem}.py") if path.parts[-2] != "plain")
        assert f"({picture.tag})" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_a_file_is_small_and_always_the_same(picture):
    """At most 900 dots wide and 60 kB, without a date, and nothing is drawn over an edge."""
    figure = style.titled(picture, numbers_of(picture.name))
    found = style.png(figure)
    width, height = struct.unpack(">II", found[16:24])
    assert width <= 900 and height <= 900 and len(found) <= 60_000
    assert found == style.png(style.titled(picture, numbers_of(picture.name)))
    for words, box in words_of(figure):
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, words


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_no_words_of_a_picture_lie_over_others(picture):
    words = words_of(style.titled(picture, numbers_of(picture.name)))
    for (one, box), (other, another) in combinations(words, 2):
        assert not box.shrunk(0.96, 0.7).overlaps(another.shrunk(0.96, 0.7)), (one, other)


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


# Colours.


RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])
RGB_TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714],
                       [0.0299566, 0.184309, 1.46709]])
WITHOUT = {  # Viénot, Brettel and Mollon 1999, on linear RGB
    "nothing": np.eye(3),
    "red": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "green": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])}


def linear(colour):
    c = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055)**2.4)


def lab(rgb):
    """CIELAB of linear RGB."""
    x = RGB_TO_XYZ @ rgb / (0.95047, 1, 1.08883)
    f = np.where(x > (6 / 29)**3, np.cbrt(x), x / (3 * (6 / 29)**2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("missing", WITHOUT)
def test_colours_are_told_apart_by_every_reader(missing):
    """A distance of 10 in CIELAB is plain to see side by side, and 25 in thin lines."""
    seen = np.linalg.inv(RGB_TO_LMS) @ WITHOUT[missing] @ RGB_TO_LMS
    if missing == "nothing":
        seen = np.eye(3)
    found = [lab(np.clip(seen @ linear(colour), 0, 1)) for colour in style.PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in combinations(found, 2)) > 25


def test_colours_are_told_apart_in_grey_and_seen_on_white():
    lightness = sorted(lab(linear(colour))[0] for colour in style.PALETTE)
    assert min(np.diff(lightness)) > 8
    for colour in (*style.PALETTE, style.GREY, style.INK):
        assert 1.05 / (RGB_TO_XYZ[1] @ linear(colour) + 0.05) > 3


# The command.


def test_the_command_lists_and_draws(tmp_path, capsys):
    assert main(["figures"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES
    assert main(["figures", "clip", "--plot", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'clip.png'}\n"
    clip = next(picture for picture in PICTURES if picture.name == "clip")
    assert (tmp_path / "clip.png").read_bytes() == style.png(style.titled(clip, clip.data(0)))


def test_a_picture_that_is_none_is_refused(capsys):
    assert main(["figures", "clap"]) == 2
    assert re.search("there is no picture 'clap', did you mean 'clip'", capsys.readouterr().err)


# What the titles say.


def test_the_clip_is_dead_on_one_side_only():
    """For a good action above 1 + ε, for a bad one below 1 − ε: (ppo.1) and (ppo.2)."""
    found = numbers_of("clip")
    assert not (found.slopes[1][found.ratios > 1.2001]).any()
    assert (found.slopes[1][found.ratios < 1.2] == 1).all()
    assert not (found.slopes[-1][found.ratios < 0.7999]).any()
    assert (found.slopes[-1][found.ratios > 0.8] == -1).all()
    for A, terms in found.terms.items():
        slopes = np.diff(terms) / np.diff(found.ratios)
        assert np.allclose(slopes, found.slopes[A][1:], atol=1e-9) or \
            np.allclose(slopes, found.slopes[A][:-1], atol=1e-9)
