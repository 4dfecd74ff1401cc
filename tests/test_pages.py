"""The book as pages: built without a warning, whole, linked, readable without the network."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import chain

import pytest
from test_house import CHAPTERS, ROOT

for name in "sphinx", "myst_parser", "furo", "matplotlib":
    pytest.importorskip(name, reason="the pages need the extras 'book' and 'plot'")

pytestmark = pytest.mark.slow  # the whole book is built
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A folder with all pages, built once from a copy of the sources as `make book` builds them."""
    out = tmp_path_factory.mktemp("book")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-d", out / "trees",
                           ROOT / "docs", out / "pages"], capture_output=True, encoding="utf-8",
                          cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return out / "pages"


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.fetched, self.images, self.titles = set(), [], [], [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found["id"]} if found.get("id") else set()
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "link", "img", "iframe", "source"):
            self.fetched.append(found.get("src") or found.get("href") or "")
        if tag == "img":
            self.images.append(found)
        self.titles += tag == "h1"


@pytest.fixture(scope="module")
def pages(book):
    return {path.resolve(): Page(path) for path in book.rglob("*.html")}


def test_every_chapter_is_in_the_contents(book, pages):
    """And every module of the three packages has a page."""
    contents = pages[(book / "index.html").resolve()].links
    for chapter in CHAPTERS:
        assert f"chapters/minirl/{chapter.replace('.', '/')}.html" in contents
    for path in chain.from_iterable((ROOT / package).rglob("*.py")
                                    for package in ("minirl", "toy_lm", "gridworld")):
        inside = path.relative_to(ROOT).with_suffix("")
        inside = inside.parent if inside.name == "__init__" else inside
        assert (book / "chapters" / f"{inside}.html").exists(), path


def test_every_link_resolves(pages):
    for path, page in pages.items():
        for link in page.links:
            if not re.match("[a-z]+:", link):
                file, _, spot = link.partition("#")
                target = (path.parent / file).resolve() if file else path
                assert target in pages or target.exists(), (path.name, link)
                assert not spot or spot in pages[target].ids, (path.name, link)


def test_nothing_is_fetched_from_elsewhere(book, pages):
    """Neither by a page nor by a style."""
    for path, page in pages.items():
        for address in page.fetched:
            assert not re.match("[a-z]+:|//", address) or address.startswith("data:"), address
    for path in book.rglob("*.css"):
        for address in re.findall(r"url\(([^)]*)\)|@import", path.read_text(encoding="utf-8")):
            assert not re.match("['\"]?(https?:|//)", address), (path.name, address)


def test_a_page_has_one_title_and_its_pictures_have_words(pages):
    for path, page in pages.items():
        assert page.titles == 1 or path.name == "search.html", path.name  # whose script writes it
        assert all(image.get("alt") for image in page.images), (path.name, page.images)


def test_a_tag_unfolds_to_its_code_and_its_tests(book):
    text = (book / "chapters/minirl/people/dpo.html").read_text(encoding="utf-8")
    tag, = re.findall(r'<div class="equation" id="dpo.3">.*?</div></details></div>', text, re.S)
    assert "<math" in tag and 'href="../../../chapters/minirl/people/dpo.html#' in tag
    assert "tests/test_dpo.py" in tag or "test_dpo.py::" in tag


def test_questions_have_answers_and_exercises_have_hints(book):
    """Answers are folded, and are those that a test prints."""
    text = (book / "chapters/minirl/people/dpo.html").read_text(encoding="utf-8")
    assert text.count("<summary>Answer</summary>") == 3 and "0.236, 0.628, 0.136" in text
    words = re.sub("<[^>]+>", "", text)
    assert "minirl exercise dpo: Write" in words and " hints</summary>" in text


# Colours.


def contrast(one, other):
    """The contrast of two colours by WCAG 2: 4.5 is enough for text (AA)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    colour = colour.lstrip("#")
    colour = "".join(2 * c for c in colour) if len(colour) == 3 else colour
    parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055)**2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_links_are_told_from_the_page(book, theme):
    """The colours of the theme, as its style says them: of words, of links, of what is beside."""
    style = (book / "_static" / "styles" / "furo.css").read_text(encoding="utf-8")
    found = {}
    light = re.search(r"body\{(--[^}]*)\}", style)
    dark = re.search(r'body\[data-theme=dark\]\{(--[^}]*)\}|'
                     r':not\(\[data-theme="?light"?\]\)\{(--[^}]*)\}', style)
    for block in [light, *([dark] if theme == "dark" else [])]:
        text = next(filter(None, block.groups()))
        found |= dict(re.findall(r"(--[\w-]+):([^;]+)", text))

    def colour(name):
        value = found[name]
        while value.startswith("var("):
            value = found[value[4:-1]]
        return {"black": "#000000", "white": "#ffffff"}.get(value, value)

    page = colour("--color-background-primary")
    for name in "foreground-primary", "foreground-secondary", "brand-content":
        assert contrast(colour(f"--color-{name}"), page) >= 4.5, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_code_is_told_from_its_ground(theme):
    from pygments.styles import get_style_by_name
    configuration = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    names = re.search(r'pygments_dark_style = "([\w-]+)", "([\w-]+)"', configuration).groups()
    style = get_style_by_name(names[theme == "dark"])
    for token, found in style:
        if found["color"]:
            assert contrast(found["color"], style.background_color) >= 4.5, token


# In a browser.


def dumped(page, drop=False, query=""):
    """The page after its scripts have run, or without them, in a Chromium without a network."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    source = page.read_text(encoding="utf-8")
    if drop:
        source = re.sub("<script.*?</script>", "", source, flags=re.S)
    changed = page.with_name(f"probe_{page.name}")
    changed.write_text(source, encoding="utf-8")
    profile = page.parent / "profile"
    try:
        return subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
             f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom",
             changed.as_uri() + query], capture_output=True, encoding="utf-8", timeout=120).stdout
    finally:
        changed.unlink()
        shutil.rmtree(profile, ignore_errors=True)


def test_the_search_works_from_a_disk(book):
    """Without a server."""
    text = dumped(book / "search.html", query="?q=softmax")
    assert "chapters/minirl/kernel/softmax.html" in text


WIDTHS = """
const page = document.documentElement;
parent.postMessage("width " + page.scrollWidth + " of " + page.clientWidth, "*");
"""
PHONE = """<!doctype html><title>a phone</title><body>
<script>addEventListener("message", message => document.title = message.data)</script>
<iframe src="{}" width="390" height="800" style="border: 0"></iframe></body>"""


@pytest.mark.parametrize("chapter", ["people/dpo", "play/ppo", "symbols", "kernel/softmax"])
def test_a_phone_need_not_scroll_sideways(book, chapter):
    """At 390 dots; wide tables and code scroll within themselves.  A window has 500 at least, so
    that the page is shown in a frame."""
    page = book / f"chapters/minirl/{chapter}.html"
    inside, phone = page.with_name(f"inside_{page.name}"), page.with_name(f"phone_{page.name}")
    inside.write_text(page.read_text(encoding="utf-8").replace(
        "</body>", f"<script>{WIDTHS}</script></body>"), encoding="utf-8")
    phone.write_text(PHONE.format(inside.name), encoding="utf-8")
    try:
        found, frame = re.search(r"<title>width (\d+) of (\d+)</title>", dumped(phone)).groups()
    finally:
        inside.unlink()
        phone.unlink()
    assert int(found) <= int(frame) == 390


def test_a_page_reads_without_scripts(book):
    """Its text, its equations, its pictures and its folded answers are in the page itself."""
    text = dumped(book / "chapters/minirl/play/ppo.html", drop=True)
    assert "<script" not in text
    for part in "<math", "<details", "surrogate", "<summary>Answer</summary>", "_images/clip.png":
        assert part in text, part
