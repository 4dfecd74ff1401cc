"""The README and the pages beside it: one screen and more, links that lead somewhere, true numbers.

What single pages show of commands and of chapters is tested where these are.
"""

import re

import pytest
from test_house import ROOT
from test_jobs import EVERY, sections

from benchmarks import tables
from minirl.exercises import EXERCISES, mistakes_by_name

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
SPEED = PAGES["speed.md"]


def section(heading):
    """What the README says below a heading."""
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_readme_is_short_and_its_first_screen_has_a_sentence_a_picture_and_three_commands():
    assert README.startswith("# minirl\n") and len(README.splitlines()) <= 120
    screen = README.partition("\n## ")[0]
    badges, sentence, picture, *_ = screen.split("\n\n")[1:]
    assert badges.count("·") <= 2 and sentence.count(". ") == 0 and sentence.endswith(".")
    assert picture.startswith("![") and README.count("![") == 1
    commands, = re.findall(r"^```sh\n(.*?)^```$", screen, flags=re.M | re.S)
    assert len(commands.splitlines()) == 3 and len(screen.splitlines()) <= 24


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_every_link_to_a_file_of_the_repository_leads_to_one(name):
    """Written as GitHub and the pages both read it: relative to the page, without an anchor"""
    text, folder = (README, ROOT) if name == "README.md" else (PAGES[name], ROOT / "docs")
    text = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)
    for address in re.findall(r"\]\(([^)\s]+)\)", text):
        assert address.startswith("https://") or (folder / address).exists(), address


def test_every_page_can_be_reached_and_every_command_of_make_exists():
    for name, text in {"README.md": README, **PAGES}.items():
        goals = set(re.findall(r"(?:^|`)make (\w[\w-]*)", text, flags=re.M))
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert goals <= set(re.findall(r"^([\w-]+):", makefile, flags=re.M)), name
    listed = {f"{name}.md" for name in re.findall(r"<(\w+)>$", PAGES["index.md"], flags=re.M)}
    assert listed == PAGES.keys() - {"index.md"}


def test_the_readme_shows_lines_that_a_page_shows():
    """Which are compared with what commands print, in `test_jobs`"""
    shown, = re.findall(r"^```text\n(.*?)^```$", README, flags=re.M | re.S)
    assert set(shown.splitlines()) <= set(PAGES["jobs.md"].splitlines())
    share = float(re.search(r"^grpo(?: +\S+){3} +(\S+)", shown, flags=re.M)[1])
    assert f"GRPO as published comes to rest at {100 * share:.0f} %" in " ".join(README.split())


def test_the_readme_has_every_job_with_its_question_and_its_seconds():
    """Each as a page has it"""
    rows = re.findall(r"^\| `minirl (\w+)` \| (.*) \| ([\d.]+) \|$", README, flags=re.M)
    measured = tables.read_table(tables.JOBS, SPEED)
    assert rows == [(name, sections()[name].split("\n\n")[0].strip(),
                     measured[f"`minirl {name}`"][0]) for name in EVERY]


def test_the_speeds_of_the_readme_are_those_of_the_page():
    book, plain, *_ = tables.read_table(tables.SPEED, SPEED)["W5 PPO, 4 epochs, full batch"]
    book = book.replace(" a ", " per ")  # a table has less room than a sentence
    said = " ".join(section("How fast?").split())
    assert f"four epochs of PPO take {book}, {plain} times as fast as the plain loop" in said


def test_the_page_of_speed_lists_where_the_best_library_is_faster():
    slower = [work for work, cells in tables.read_table(tables.SPEED, SPEED).items()
              if cells[3] and tables.value(cells[3])[1] < 1]
    assert re.findall(r"^- (.*)$", SPEED, flags=re.M) == slower


def test_the_page_of_the_exercises_counts_them_and_names_what_can_be_asked(command):
    """Of no exercise but one that there is"""
    page = PAGES["exercises.md"]
    assert f"{len(EXERCISES)} exercises" in page
    assert f"{len(mistakes_by_name())} famous mistakes" in page
    assert set(re.findall(r"--break (\w+\.\w+)", page)) <= mistakes_by_name().keys()
    status, out, _ = command("exercise", "--help")
    assert status == 0
    assert set(re.findall(r"--\w+", page)) == set(re.findall(r"--\w+", out)) - {"--help"}


def test_the_page_of_mistakes_includes_the_list():
    included, = re.findall(r"^```\{include\} (\S+)$", PAGES["mistakes.md"], flags=re.M)
    assert (ROOT / "docs" / included).resolve() == ROOT / "tests" / "PITFALLS.md"
