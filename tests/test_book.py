"""The book as a text: its chain of chapters, its letters and terms, its examples and exercises."""

import ast
import re
from functools import cache

import pytest
from answers import ANSWERS
from test_house import CHAPTERS, PARTS, ROOT, contents, parsed

import minirl
from minirl import glossary, symbols
from minirl.exercises.quiz import answer_of, questions_of

SIDE_ROADS = set(re.findall(r"\((\w+)\)", minirl.__doc__.split("Part 1,")[1].split("A chapter")[0]))
ORDER = ["introduction", *(chapter.split(".")[1] for chapter in CHAPTERS)]
WORLDS = [f"{package}.{name}" for package in ("gridworld", "toy_lm") for name in contents(package)]
EXTRAS = {"gridworld.gymnasium": "gymnasium"}
PATHS = {"introduction": ROOT / "minirl" / "introduction.py"} | {
    name: ROOT / "minirl" / part / f"{name}.py" for part, names in PARTS.items()
    if part != "plain" for name in names} | {
    world: ROOT.joinpath(*world.split(".")).with_suffix(".py") for world in WORLDS}
PART_OF = {name: part for part, names in PARTS.items() if part != "plain" for name in names}
TEXTS = {name: ast.get_docstring(parsed(path)) for name, path in PATHS.items()}
SHAPED = ORDER + WORLDS
MAIN_WAY = [name for name in ORDER if name not in SIDE_ROADS]

# The function or record that a chapter begins with.
FIRST = {
    "checks": "whole", "softmax": "log_softmax", "layout": "starts_of", "counts": "table",
    "sampling": "draw", "mdp": "TabularMDP", "playing": "rollout", "environment": "Environment",
    "gradcheck": "check", "solving": "solve", "evaluation": "evaluate", "gains": "gains",
    "planning": "policy_iteration", "average_reward": "average_reward", "return_law": "reward_law",
    "scorecard": "referee", "optim": "gradient_descent", "returns": "reward_to_go",
    "training": "start", "prediction": "td_prediction", "exploration": "epsilon_greedy",
    "many_learners": "move_together", "q_learning": "q_learning", "reinforce": "reinforce_loss",
    "baselines": "batch_mean", "actor_critic": "actor_critic", "surrogate": "ratios",
    "ppo": "ppo_loss", "ppo_kl": "ppo_kl_loss", "fitting": "minimise", "pairs": "Pairs",
    "sft": "sft_loss", "best_of_n": "best_of_n", "regularised": "regularised_optimum",
    "kl": "string_kl", "existence": "existence", "reward_model": "bradley_terry_loss",
    "calibration": "accuracy", "rlhf": "rlhf", "groups": "group_normalised", "grpo": "grpo_loss",
    "dpo": "dpo_loss", "ipo": "ipo_loss", "kto": "kto_loss", "simpo": "simpo_loss",
    "orpo": "orpo_loss", "margins": "margin_loss", "ratios": "gate_loss",
    "distillation": "distillation_loss", "scaling": "predicted",
    "unified": "gradient",
    "contrastive": "infonce_loss",
    "inference": "pass_at_k", "cascade": "clean_chances",
    "search": "viterbi", "tree_search": "tree_search",
    "harvest": "harvest", "network": "forward",
    "gridworld.world": "GridWorld", "gridworld.maps": "frozen_lake",
    "gridworld.classics": "blackjack", "gridworld.draw": "policy_text",
    "gridworld.figures": "heat_map", "gridworld.gymnasium": "WorldEnv",
    "toy_lm.vocabulary": "Vocabulary", "toy_lm.corpora": "unicode_words",
    "toy_lm.ngram": "language", "toy_lm.smoothing": "witten_bell", "toy_lm.contexts": "look_up",
    "toy_lm.exact": "lengths", "toy_lm.models": "fit", "toy_lm.rewards": "easy_to_say",
    "toy_lm.verifiers": "is_palindrome", "toy_lm.jsonl": "read_preferences",
    "toy_lm.demonstrations": "complete", "toy_lm.raters": "choose",
    "toy_lm.preferences": "sample_pairs", "toy_lm.align": "fit_by_reward",
    "toy_lm.lines": "presence",
}


# The way through the book.


def place_line(said, order, name):
    """The line below a title: the place in the book, and what stands before and after it."""
    place = order.index(name)
    beside = {"Previous": order[max(place - 1, 0):place], "Next": order[place + 1:place + 2]}
    return f"*{said}." + "".join(
        f"  {word}: `{other}`{', a side road' * (other in SIDE_ROADS)}."
        for word, others in beside.items() for other in others) + "*"


def test_the_chain_of_chapters_visits_each_of_them_once():
    """Each names the one before and the one after it; the order is that of the contents page."""
    for place, name in enumerate(ORDER):
        number = [*PARTS].index(PART_OF[name]) if place else 0  # `plain` is no part
        said = f"Part {number}" + ", a side road" * (name in SIDE_ROADS) if place else "Chapter 0"
        title, _, line, *_ = TEXTS[name].split("\n")
        assert (title[-1] in ".?!", line) == (True, place_line(said, ORDER, name)), name


def test_the_chain_of_worlds_visits_each_of_them_once_and_says_from_where_in_the_book():
    for world in WORLDS:
        package, name = world.split(".")
        said = {"gridworld": "Worlds to draw", "toy_lm": "Worlds to read"}[package]
        title, _, line, *_ = TEXTS[world].split("\n")
        after = re.match(rf"\*{said}, after `(\w+)`\.", line)[1]
        assert after in ORDER and title[-1] in ".?!", world
        assert line == place_line(f"{said}, after `{after}`", contents(package), name), world
        following = contents(package)[contents(package).index(name) + 1:][:1]
        read_next, = re.findall(r"^Read next: `(\w+)`", TEXTS[world], flags=re.M)
        assert read_next in (following or ORDER), world


def test_read_next_leads_along_the_main_way():
    """The first chapter that `Read next` names is the next one that is no side road; the last one
    names the page that compares them all."""
    for name in ORDER:
        after = next((later for later in MAIN_WAY if ORDER.index(later) > ORDER.index(name)),
                     "compared")
        found = re.findall(r"^Read next: `(\w+)`", TEXTS[name], flags=re.M)
        assert found == [after], name


def test_a_chapter_has_its_shape():
    """At most 120 lines of text; an example, exercises, what to read next and where it is from."""
    for name in SHAPED:
        text = TEXTS[name]
        places = [text.find(part) for part in (">>> ", "**Exercises.**", "\nRead next: `")]
        assert -1 < places[0] < places[1] < places[2], (name, places)
        assert len(text.split("\n")) <= 120, name
        if name in FIRST:
            kind = ast.ClassDef if FIRST[name][0].isupper() else ast.FunctionDef
            defined = [node.name for node in parsed(PATHS[name]).body if isinstance(node, kind)]
            assert defined[0] == FIRST[name], name


@pytest.mark.parametrize("name", SHAPED)
def test_the_exercises_of_a_chapter_have_the_answers_that_they_should(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    questions = questions_of(TEXTS[name])
    assert len(questions) == 3 and all(question.lines for question in questions)
    expected = [re.sub(r"np\.\w+\(([^()]*)\)", r"\1", answer) for answer in ANSWERS[name]]
    assert [answer_of(question) for question in questions] == expected


def test_there_are_no_answers_without_a_question():
    assert set(ANSWERS) == set(SHAPED)


# Figures.


def prose(name):
    """A chapter without its examples, exercises, tags, sources and numbers of papers."""
    text = TEXTS[name].partition("**Exercises.**")[0] or TEXTS[name]
    text = re.sub(r"^ *>>>.*(?:\n(?!\s*$).*)*", "", text, flags=re.M)
    return re.sub(r"\([a-z]\w*\.\d+\)|(?:§|chapters?|examples?|figure) ?[\d.]+"
                  r"(?: (?:and|to) [\d.]+)?|arXiv:[\d.]+", "", text)


def test_every_figure_in_the_text_is_computed_by_a_test_or_an_example():
    """A number with a decimal point or a comma stands in some test, or in an example beside it."""
    in_tests = set().union(*(numbers_in(path.read_text(encoding="utf-8"))
                             for path in ROOT.glob("tests/**/*.py")))
    for name in SHAPED:
        example = "".join(re.findall(r"^ *>>>.*(?:\n(?!\s*$).*)*", TEXTS[name], flags=re.M))
        numbers = {found.replace(",", "") for found in re.findall(
            r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?", prose(name)) if re.search("[.,]", found)}
        assert numbers - numbers_in(example) - in_tests == set(), name


def numbers_in(proof):
    return set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d)[_,](?=\d{3})", "", proof)))


# Letters.


def rows(page):
    """The rows of a page's table, under their headings: (heading, columns)."""
    found, heading = [], None
    for line in page.__doc__.split("\n"):
        if re.match(r"\w[\w ]*$", line):
            heading = line
        elif line.startswith("    ") and heading:
            found.append((heading, re.split(r" {2,}|(?<=\S) (?=\w+$)", line.strip())))
    return found


def displays(name):
    """The tagged equations of a chapter, without their tags."""
    blocks = [block for block in re.split(r"\n\s*\n", TEXTS[name])
              if re.search(rf"\({name}\.\d+\)", block)]
    lines = [line for block in blocks for line in block.split("\n") if line.startswith("    ")]
    return re.sub(r"\(\w+\.\d+\)", "", "\n".join(lines))


def letters(text):
    """The letters that stand alone, and all Greek ones but those of sums, products and steps."""
    return {*re.findall(r"(?<![^\W\dΑ-Ωα-ω_])[A-Za-z](?![A-Za-z])", re.sub("[Α-Ωα-ω]", " ", text)),
            *re.findall("[Α-Ωα-ω]", text)} - {"Σ", "Π", "Δ"}


def test_the_page_of_symbols_is_what_the_displays_use():
    """One meaning for a letter within a part, and none that is not on the page."""
    page = {}
    for heading, columns in rows(symbols):
        for letter in columns[0].split(", "):
            assert letter not in page.get(heading, {}), letter
            assert heading == "Everywhere" or letter not in page["Everywhere"], letter
            page.setdefault(heading, {})[letter] = columns[-1]
    for number, part in enumerate(["kernel", "exact", "play", "people", "beyond"], start=1):
        used = set().union(*(letters(displays(name)) for name in PARTS[part]))
        listed = page[f"Part {number}"]
        assert used - set(page["Everywhere"]) == set(listed), part
    for heading, section in page.items():
        for letter, name in section.items():
            used = letters(TEXTS[name] if name == "introduction" else displays(name))
            assert letter in used, (letter, name)


def test_nothing_but_the_derivative_is_called_G():
    """Neither a return nor a number of strings, which books call G_t, G_0 or G."""
    for path in ROOT.glob("minirl/*/*.py"):
        if path.parent.name != "plain":  # where a clause says what the paper calls G
            assert not re.search(r"\bG(?:[_^]|\(y)", path.read_text(encoding="utf-8")), path


# Terms.


def terms(section):
    """Each term of a section of the glossary and the chapter that says what it is."""
    return {term: columns[-1] for heading, columns in rows(glossary) if heading == section
            for term in columns[0].split(", ")}


@cache
def pattern_of(term):
    """A term in the singular or the plural."""
    words = re.escape(term).replace(r"\ ", r"\s+").replace(r"\-", r"-\s*")
    any_case = re.I if len(re.findall("[A-Z]", term)) < 2 else 0  # KTO is not the chapter `kto`
    return re.compile(rf"(?<![\w`-]){words}(?:e?s)?(?![\w`])", flags=any_case)


def used(term, name):
    """Whether a chapter uses a term: most have not even its first word."""
    first, text = re.split("[ -]", term)[0], readable(name)
    return first.lower() in text.lower() and pattern_of(term).search(text)


@cache
def readable(name):
    """The text of a chapter without the lines that point elsewhere, and without names of code."""
    text = TEXTS[name].partition("\nRead next: ")[0]
    return re.sub(r"`[^`]*`|\(\w+\.\d+\)|^ *(?:>>>|\.\.\.).*|^ {7}.*", "", text, flags=re.M)


def test_nothing_is_used_before_it_is_said():
    """On the main way, in an earlier chapter of it.  A side road may use all of its part."""
    homes = terms("Terms")
    for term, home in homes.items():
        assert used(term, home), (term, home)
    for place, name in enumerate(ORDER):
        before = {other for other in ORDER[:place] if other in MAIN_WAY}
        if name in SIDE_ROADS:
            before = {*ORDER[:place], *(other for other in MAIN_WAY
                                        if PART_OF.get(other) == PART_OF[name])}
        for term, home in homes.items():
            if home not in {name, *before}:
                assert not used(term, name), (term, name, home)


def test_no_term_of_the_worlds_is_used_in_its_package_before_it_is_said():
    homes = {world.split(".")[1]: world for world in WORLDS}
    for term, home in terms("Worlds").items():
        package = homes[home].split(".")[0]
        found = [world for world in WORLDS
                 if world.startswith(package) and used(term, world)]
        assert found[:1] == [homes[home]], (term, found)
