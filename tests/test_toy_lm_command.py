"""The command line for text of your own: what it prints, what it writes, what it refuses."""

from functools import cache
import io
from math import exp
import os
from pathlib import Path
import re
import subprocess
import sys

import numpy as np
import pytest
from test_command_line import NAMES, Pad

from minirl import __version__
from toy_lm import __main__ as command_line
from toy_lm import corpora, jsonl, models, ngram
from toy_lm.corpora import unicode_words
from toy_lm.align import certainty
from toy_lm.models import Model, fit, load, save
from toy_lm.ngram import decoding, score
from toy_lm.smoothing import kneser_ney, witten_bell
from toy_lm.preferences import from_text
from toy_lm.vocabulary import Vocabulary

PROGRAM = "toy_lm"
ROOT = Path(__file__).parent.parent
NUMBER = r"(-?\d+\.\d+|-?inf)"


@pytest.fixture(scope="module")
def names_model(tmp_path_factory):
    """The bigram of the names, as it is stored."""
    path = tmp_path_factory.mktemp("model") / "names.npz"
    save(path, fit(NAMES))
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path, monkeypatch, names_model):
    """A present folder with names.txt, a corpus, and names.npz, its bigram."""
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("\n".join(NAMES))
    Path("names.npz").write_bytes(names_model)


def nats_of(model, items):
    """Nats per character, the ends included."""
    return -score(model.logits, model.encode(items)).sum() / len("$".join(items) + "$")


# Train.


FILES = {"windows": b"\xef\xbb\xbfkato\r\n\r\n  kata \r\n\r\n\tta ka\r\nkato\r\nkato",
         "accents": "\u00e9t\u00e9\ne\u0301t\u00e9\n\U0001f600t\n\u00e9t\u00e9\n".encode(),
         "names": "\n".join(NAMES).encode(), "words": "\n".join(unicode_words()).encode()}
@pytest.mark.parametrize("name, order, smoothing, heldout", [
    *((name, order, smoothing, heldout) for name in ("windows", "accents", "names")
      for order in (1, 2, 3) for smoothing, heldout in (
        (0.1, 0), (0, 0.5), (2.5, 0.5), (witten_bell, 0.5), (kneser_ney, 0.5))),
    ("words", 2, 0.1, 0.1), ("words", 3, kneser_ney, 0.1)])
def test_a_file_is_split_and_fitted_and_what_is_printed_is_how_well(command, folder, name, order,
                                                                    smoothing, heldout):
    """With an independent idea of what an item and a tenth of them are"""
    Path("file").write_bytes(FILES[name])
    items = [" ".join(line.split(" ")).strip(" \t\r") for line
             in FILES[name].decode("utf-8-sig").split("\n") if line.strip()]
    every = {0: len(items) + 1, 0.5: 2, 0.1: 10}[heldout]
    training = [item for i, item in enumerate(items, start=1) if i % every]
    held = [item for i, item in enumerate(items, start=1) if i % every == 0]
    status, out, err = command("train", "file", "--out", "m.npz", "--order", str(order),
                               "--heldout", str(heldout), *(
                                   ["--smoothing", smoothing.__name__] if callable(smoothing) else
                                   ["--pseudo-count", str(smoothing)]))
    first, second, *lines = out.splitlines()
    assert (status, err) == (0, "") and len(lines) == 1 + (held != [])
    model, expected = load("m.npz"), fit(
        training, order=order, also=held,
        **{"smoothing" if callable(smoothing) else "pseudo_count": smoothing})
    assert model.vocabulary.letters == "".join(sorted(set("".join(items))))
    assert model.order == order and model.logits.tobytes() == expected.logits.tobytes()
    assert first == f"items: {len(items)}, {len(held)} of them held out"
    assert second == f"symbols: {model.vocabulary.size}, the end included"
    for line, title, some in zip(lines, ("training", "held out"), (training, held)):
        nats, perplexity = re.fullmatch(
            rf"{title}: {NUMBER} nats per character \(perplexity {NUMBER}\)", line).groups()
        assert float(nats) == pytest.approx(nats_of(model, some), abs=5.1e-7)
        assert float(perplexity) == pytest.approx(exp(nats_of(model, some)), abs=5.1e-5)


def test_what_never_occurred_is_impossible_without_smoothing(command, folder):
    """Which is a tenth by default, of order 2, as help promises."""
    Path("file").write_text("ab\nba\n")
    status, out, err = command("train", "file", "--out", "m.npz", "--pseudo-count", "0",
                               "--heldout", "0.5")
    assert (status, err) == (0, "")
    assert "training: 0.000000 nats per character (perplexity 1)\n" in out
    assert out.endswith("held out: inf nats per character (perplexity inf)\n")
    status, out, err = command("train", "file", "--out", "tiny.npz", "--pseudo-count", "1e-320",
                               "--heldout", "0.5")  # e^737 is no number
    assert (status, err) == (0, "") and re.search(
        r"^held out: 73\d\.\d{6} nats per character \(perplexity inf\)$", out, re.M)
    assert command("score", "m.npz", "file")[1].splitlines()[1:] == ["-inf\tba",
                                                                    "nats per character: inf"]
    assert command("train", "names.txt", "--out", "m.npz") == command(
        "train", "names.txt", "--out", "n.npz", "--order", "2", "--smoothing", "add",
        "--pseudo-count", "0.1", "--heldout", "0.1")
    assert Path("m.npz").read_bytes() == Path("n.npz").read_bytes()
    assert np.array_equal(load("m.npz").logits, fit(NAMES[:9] + NAMES[10:]).logits)


# Score.


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("dash", [None, "MODEL", "FILE"])
def test_every_item_is_scored_and_the_last_line_is_the_mean(command, folder, order, dash):
    model = fit(NAMES, order=order, pseudo_count=0.5)
    save("m.npz", model)
    Path("file").write_bytes(b"\r\n tona\r\n\r\no\r\ntona \nhhh")
    items = ["", "tona", "", "o", "tona", "hhh"]
    given = {None: ["m.npz", "file"], "MODEL": ["-", "file"], "FILE": ["m.npz", "-"]}[dash]
    data = {None: b"", "MODEL": Path("m.npz").read_bytes(), "FILE": Path("file").read_bytes()}[dash]
    status, out, err = command("score", *given, stdin=data)
    *lines, last = out.splitlines()
    assert (status, err) == (0, "") and [line.split("\t")[1] for line in lines] == items
    for line, logp in zip(lines, score(model.logits, model.encode(items))):
        assert re.fullmatch(NUMBER, line.split("\t")[0])
        assert float(line.split("\t")[0]) == pytest.approx(logp, abs=5.1e-7)
    found = re.fullmatch(f"nats per character: {NUMBER}", last)[1]
    assert float(found) == pytest.approx(nats_of(model, items), abs=5.1e-7)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("corpus", [["on", "no", "o", "nn"], [" a", "a  b", "\tb", "a\u3000"]])
def test_what_was_sampled_is_scored_string_by_string(command, folder, corpus, order):
    """The empty string too, and space at either end, if it is a letter"""
    model = fit(corpus, order=order, pseudo_count=0.5)
    save("m.npz", model)
    _, written, _ = command("sample", "m.npz", "-n", "100")
    strings = written.split("\n")[:-1]
    assert len(strings) == 100 and "" in strings
    status, out, err = command("score", "m.npz", "-", stdin=written.encode())
    *lines, last = out.split("\n")[:-1]
    assert (status, err) == (0, "") and [line.split("\t", 1)[1] for line in lines] == strings
    assert float(last.split(": ")[1]) == pytest.approx(nats_of(model, strings), abs=1e-6)
    assert command("score", "m.npz", "-", stdin=b"\n")[1].startswith(
        f"{score(model.logits, model.encode([''])).item():.6f}\t\n")


@pytest.mark.parametrize("options", [{"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.7}, {
    "temperature": 2.0, "top_k": 4, "top_p": 0.9}])
def test_what_is_scored_is_the_table_asked_for_and_what_is_sampled_from_it_is_possible(
        command, folder, options):
    given = [word for name, value in options.items()
             for word in ("--" + name.replace("_", "-"), str(value))]
    model = load("names.npz")
    logits = decoding(model.logits, **options)
    _, out, _ = command("score", "names.npz", "names.txt", *given)
    assert [float(line.split("\t")[0]) for line in out.splitlines()[:-1]] == pytest.approx(
        score(logits, model.encode(NAMES)), abs=5.1e-7)
    _, written, _ = command("sample", "names.npz", "-n", "50", *given)
    assert "inf" not in command("score", "names.npz", "-", *given, stdin=written.encode())[1]


@pytest.mark.parametrize("data, known, left_out", [
    (b"hat\nhut\n\nXo\nno", ["hat", "", "no"], "2 of 5"),
    (b"hat\r\nno\r\n", ["hat", "no"], "0 of 2"),
    ("h\u00e4t\n h \noh no\n".encode(), ["h"], "2 of 3")])
def test_items_with_unknown_letters_are_left_out_and_counted_if_asked_for(command, folder, data,
                                                                         known, left_out):
    status, out, err = command("score", "names.npz", "-", "--skip", stdin=data)
    assert status == 0 and err == (f"toy_lm: {left_out} items left out, because the model does not "
                                   f"know a letter of theirs\n")
    assert out == command("score", "names.npz", "-", stdin="\n".join(known + [""]).encode())[1]


# Sample.


@pytest.mark.parametrize("order", [2, 3])
def test_more_strings_begin_with_the_same_ones(command, folder, order, monkeypatch):
    """Whether they are drawn by rows made ready or met, and where they are many"""
    monkeypatch.setattr(command_line, "AT_ONCE", 40)
    save("m.npz", fit(NAMES, order=order))
    for prepared in ngram.PREPARED, 0:
        monkeypatch.setattr(ngram, "PREPARED", prepared)
        given = "sample", "m.npz", "--seed", "3", "-n"
        many = command(*given, "300")[1].split("\n")
        assert len(many) == 301 and len(set(many)) > 40
        for n in 1, 2, 16, 17, 50, 299:
            assert command(*given, str(n))[1].split("\n")[:-1] == many[:n]


def test_each_part_of_a_sample_is_as_large_as_all_before_it_and_sixteen_more(command, folder,
                                                                            monkeypatch):
    """Up to the most at once: so many strings do not need many parts."""
    drawn = []

    def counting(logits, number, **options):
        drawn.append(number)
        return ngram.sample(logits, number, **options)

    monkeypatch.setattr(command_line, "AT_ONCE", 100)
    monkeypatch.setattr(command_line, "sample", counting)
    assert command("sample", "names.npz", "-n", "200")[0] == 0
    assert drawn == [16, 32, 64, 100]


def test_a_prompt_is_utf8_whatever_the_locale(folder):
    """In a real process: the bytes of its arguments, read as ASCII, are escaped one by one"""
    save("m.npz", fit(["\u00e9t\u00e9", "\u00e9\U0001f600"]))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0",
                                "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-m", "toy_lm", "sample", "m.npz", "-n", "3", "--prompt",
                           "\u00e9".encode()], capture_output=True, env=environment)
    assert done.stderr == b"" and all(line.startswith("\u00e9") for line
                                      in done.stdout.decode().splitlines())


def test_a_sample_is_one_string_a_line_that_begins_with_the_prompt(command, folder):
    status, out, err = command("sample", "names.npz", "-n", "200", "--prompt", "ha")
    lines = out.split("\n")
    assert (status, err, lines.pop()) == (0, "", "") and len(lines) == 200
    assert all(line.startswith("ha") and set(line) <= set("ahnot") for line in lines)
    assert len(set(lines)) > 50 and "ha" in lines
    first, again, other = (command("sample", "names.npz", *seed)
                           for seed in ([], ["--seed", "0"], ["--seed", "1"]))
    assert first == again != other and len(first[1].splitlines()) == 10


@pytest.mark.parametrize("option", [["--temperature", "0.001"], ["--top-k", "1"]])
@pytest.mark.parametrize("order, prompt, written", [
    (2, "", "al"), (2, "la", "lal"), (2, "xx", "xx"), (3, "", "al"), (3, "la", "la"),
    (3, "l", "lx")])
def test_the_likeliest_letter_is_certain_at_a_temperature_near_zero(command, folder, option, order,
                                                                    prompt, written):
    save("m.npz", fit(["ala"] * 9 + ["al"] * 11 + ["alx", "lx", "xa", "xxa", "xx", "xx"],
                      order=order, pseudo_count=0))
    given = ["sample", "m.npz", "-n", "5", "--prompt", prompt, *option]
    assert command(*given) == (0, f"{written}\n" * 5, "")


def test_what_is_sampled_is_the_table_asked_for(command, folder, monkeypatch):
    """(ngram.2) by loops; and prompt, horizon, number and seed reach the sampler."""
    seen, sample = [], command_line.sample
    monkeypatch.setattr(command_line, "sample",
                        lambda *given, **names: seen.append((given, names)) or sample(
                            *given, **names))
    command("sample", "names.npz", "-n", "7", "--prompt", "on", "--temperature", "0.5", "--top-k",
            "2", "--horizon", "5", "--seed", "3")
    command("sample", "names.npz")
    (table, number), names = seen[0]
    assert number >= 7 and names.pop("rng").bit_generator.seed_seq.entropy == 3
    assert names == {"horizon": 5, "prompt": 1 + "ahnot".index("n")}
    for found, chances in zip(table, load("names.npz").policy, strict=True):
        kept = [p**2 if p >= sorted(chances)[-2] * (1 - 1e-12) else 0 for p in chances]
        np.testing.assert_allclose(np.exp(found), np.array(kept) / sum(kept), atol=1e-12)
    (table, number), names = seen[1]
    assert number >= 10 and names.pop("rng").bit_generator.seed_seq.entropy == 0
    assert names == {"horizon": 1000, "prompt": 0}
    np.testing.assert_allclose(table, load("names.npz").logits, atol=1e-12)


def endless(letters="ab\u2026"):
    """From the first letter every string ends, from the others none does."""
    logits = np.full((4, 4), -np.inf)
    logits[0, 1:], logits[1, 0], logits[2, 3], logits[3, 3] = 0.0, 0.0, 0.0, 0.0
    return Model(Vocabulary(letters), logits)


def test_strings_that_were_cut_are_printed_as_far_as_they_go_and_counted(command, folder,
                                                                         monkeypatch):
    """A letter of the model that looks like the mark of a cut is not taken for it.  Text is UTF-8,
    whatever the terminal."""
    save("m.npz", endless())
    dots = "\u2026"
    assert command("sample", "m.npz", "-n", "2", "--prompt", "b", "--horizon", "3") == (
        0, f"b{dots * 3}\n" * 2, "toy_lm: 2 of 2 strings were cut at 3 steps\n")
    assert command("sample", "m.npz", "-n", "2", "--prompt", "a", "--horizon", "1") == (
        0, "a\n" * 2, "")
    status, out, err = command("sample", "m.npz", "-n", "30", "--horizon", "2")
    cut = sum(line in ("b" + dots, dots * 2) for line in out.splitlines())
    assert 0 < cut < 30 and out.splitlines().count("a") == 30 - cut
    assert err == f"toy_lm: {cut} of 30 strings were cut at 2 steps\n"
    Path("file").write_text(f"b{dots}\n", encoding="utf-8")
    for arguments in ["sample", "m.npz", "--prompt", "b", "--horizon", "1"], ["score", "m.npz",
                                                                              "file"]:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        assert command_line.main(arguments) == 0
        assert f"b{dots}\n" in sys.stdout.buffer.getvalue().decode("utf-8")


# Preference data.


FORMS = "explicit", "implicit", "unpaired", "ranking"


@pytest.fixture
def made(command, folder):
    """Call with arguments: the records that `pairs` writes, and what it says on stderr."""
    def make(*arguments, form="explicit", stdin=b""):
        status, out, err = command("pairs", "names.npz", "--form", form, "--out", "out.jsonl",
                                   *arguments, stdin=stdin)
        assert status == 0 and out == ""
        return jsonl.read_preferences("out.jsonl").records, err
    return make


def test_the_four_forms_hold_the_same_data(made):
    assert made("--pairs", "1")[1].startswith(
        "toy_lm: 1 pair, 0 of them of two equal responses; 0 ties left out\n")
    assert made("--pairs", "1", form="ranking")[1] == "toy_lm: 1 ranking\n"
    given = "--pairs", "60", "--prompt", "no"
    explicit, err = made(*given)
    same = sum(pair.chosen == pair.rejected for pair in explicit)
    assert len(explicit) == 60 and same > 0 and {pair.prompt for pair in explicit} == {"no"}
    said, verdict = err.splitlines()
    assert said == f"toy_lm: 60 pairs, {same} of them of two equal responses; 0 ties left out"
    model = load("names.npz")
    data = from_text(model.vocabulary, explicit)
    assert verdict == "toy_lm: for a reward model, " + certainty(model.vocabulary, np.zeros((6, 6)),
                                                                 data, pull=0)[-1]
    implicit, other = made(*given, form="implicit")
    assert other == err
    for one, two in zip(explicit, implicit, strict=True):
        assert two.prompt.startswith("no")
        assert [one.prompt + text for text in one[1:]] == [two.prompt + text for text in two[1:]]
    labelled, other = made(*given, form="unpaired")
    assert other == err and [record.label for record in labelled] == [True, False] * 60
    assert [record[:2] for record in labelled] == [("no", text) for pair in explicit
                                                   for text in pair[1:]]
    ranked, err = made(*given, "--responses", "2", form="ranking")
    assert err == "toy_lm: 60 rankings\n" and {record.prompt for record in ranked} == {"no"}
    assert [set(record.ranking) for record in ranked] == [set(pair[1:]) for pair in explicit]


def test_of_a_table_with_more_weights_than_are_solved_for_there_is_the_verdict_alone(
        made, monkeypatch):
    model, (pairs, _) = load("names.npz"), made("--pairs", "60")
    told = [certainty(model.vocabulary, np.zeros((6, 6)), from_text(model.vocabulary, pairs),
                      pull=1.0)]
    monkeypatch.setattr("minirl.people.existence.MOST_WEIGHTS", 35)
    told.append(certainty(model.vocabulary, np.zeros((6, 6)), from_text(model.vocabulary, pairs),
                          pull=1.0))
    assert len(told[0]) == 3 and told[1] == told[0][2:]


def test_the_defaults_of_pairs_are_those_that_help_promises(made):
    pairs, _ = made()
    assert len(pairs) == 1000 and (pairs, _) == made(
        "--pairs", "1000", "--prompt", "", "--reward", "easy_to_say", "--temperatures", "1",
        "--rater-temperature", "1", "--noise", "0", "--ties", "0", "--seed", "0")
    assert pairs != made("--seed", "1")[0]
    assert {len(record.ranking) for record in made(form="ranking")[0]} == {4}


def like_neighbours(text):
    return sum((a in "aeiou") == (b in "aeiou") for a, b in zip(text, text[1:]))


@cache
def usual(text, order=2):
    """Log-probability a character of the model of the names."""
    return -nats_of(fit(NAMES, order=order), [text])


REWARDS = {"easy_to_say": lambda text: 0.139 * len(text) - like_neighbours(text),
           "alternating": lambda text: max(len(text) - 1, 0) - like_neighbours(text),
           "ends_in_vowel": lambda text: float(text[-1:] in tuple("aeiou")),
           "no_doubles": lambda text: -sum(a == b for a, b in zip(text, text[1:])),
           "short": lambda text: -len(text), "judge": usual,
           "palindrome": lambda text: float(text == text[::-1])}


@pytest.mark.parametrize("prompt", ["", "an"])
@pytest.mark.parametrize("reward", REWARDS)
def test_a_sure_rater_likes_what_the_reward_says_of_prompt_and_response(made, reward, prompt):
    given = ["--reward", reward, "--pairs", "150", "--prompt", prompt, "--rater-temperature",
             "0.000001"]
    gaps = {noise: [REWARDS[reward](prompt + pair.chosen) - REWARDS[reward](prompt + pair.rejected)
                    for pair in made(*given, "--noise", noise)[0]] for noise in ("0", "1")}
    assert min(gaps["0"]) > -1e-12 and max(gaps["0"]) > 1e-3
    assert max(gaps["1"]) < 1e-12 and min(gaps["1"]) < -1e-3
    K = 2 if reward == "palindrome" else 3
    rankings, _ = made(*given, "--responses", f"{K}", form="ranking")
    for record in rankings:
        scores = [REWARDS[reward](prompt + text) for text in record.ranking]
        assert len(scores) == K and all(np.diff(scores) < 1e-12)


@pytest.mark.parametrize("reward", ["palindrome", "judge"])
@pytest.mark.parametrize("told", [[], ["--ties", "0"], ["--rater-temperature", "1e6"],
                                  ["--noise", "1"], ["--prompt", "an", "--temperatures", "1", "2"]])
def test_a_program_does_not_err_unless_told_to_and_equal_verdicts_are_ties(made, reward, told):
    """The findings: of 5,000 pairs 3,591 were tossed, and 375 of the others went wrong."""
    prompt = "an" * ("--prompt" in told)
    pairs, err = made("--reward", reward, "--pairs", "400", *told)
    gaps = [REWARDS[reward](prompt + pair.chosen) - REWARDS[reward](prompt + pair.rejected)
            for pair in pairs]
    assert all(gaps) and 0 < len(pairs) < 400
    assert err.startswith(f"toy_lm: {len(pairs)} pairs, 0 of them of two equal responses; "
                          f"{400 - len(pairs)} ties left out\n")
    wrong = sum(gap < 0 for gap in gaps) / len(gaps)
    assert wrong == 1 if "1" in told[1:2] and "--noise" in told else (
        0.3 < wrong < 0.7 if "1e6" in told else wrong == 0)
    K = 2 if reward == "palindrome" else 3
    ranked, err = made("--reward", reward, "--pairs", "100", "--responses", f"{K}", *(
        told if "--ties" not in told else []), form="ranking")
    scores = [[REWARDS[reward](prompt + text) for text in record.ranking] for record in ranked]
    assert 0 < len(ranked) < 100 and all(len(set(row)) == K for row in scores)
    if not told:
        assert all(row == sorted(row, reverse=True) for row in scores)
    assert err == f"toy_lm: {len(ranked)} rankings; {100 - len(ranked)} ties left out\n"


def test_one_is_not_several(made):
    assert made("--pairs", "1")[1].startswith("toy_lm: 1 pair, ")
    assert made("--pairs", "1", form="ranking")[1] == "toy_lm: 1 ranking\n"
    save("names.npz", fit(["ab", "ba"]))
    errors = [made("--pairs", "1", "--reward", "palindrome", "--seed", f"{seed}")[1]
              for seed in range(20)]
    assert any("0 pairs" in err and err.endswith("; 1 tie left out\n") for err in errors)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("reward", ["judge", "easy_to_say"])
def test_a_model_of_any_order_may_write_and_judge(made, order, reward):
    save("names.npz", fit(NAMES, order=order))
    pairs, _ = made("--reward", reward, "--pairs", "50", "--rater-temperature", "0.000001")
    judged = usual if reward == "judge" else lambda text, order: REWARDS[reward](text)
    gaps = [judged(pair.chosen, order) - judged(pair.rejected, order) for pair in pairs]
    assert min(gaps) > -1e-12 and max(gaps) > 1e-3


def test_the_writer_and_the_rater_are_given_what_was_asked_for(made, monkeypatch):
    seen, asked, respond = [], [], command_line.respond
    for name in "choose", "rank":
        real = getattr(command_line.raters, name)
        monkeypatch.setattr(command_line.raters, name, lambda scores, *, rng, real=real, **names:
                            seen.append((scores.shape, names)) or real(scores, rng=rng, **names))
    monkeypatch.setattr(command_line, "respond", lambda logits, K, *, rng, prompts, temperatures:
                        asked.append((K, prompts.tolist(), temperatures)) or respond(
                            logits, K, rng=rng, prompts=prompts, temperatures=temperatures))
    given = ["--pairs", "9", "--rater-temperature", "3", "--noise", "0.25", "--prompt", "ho",
             "--temperatures", "1", "0.001"]
    made(*given, "--ties", "2")
    made(*given, "--responses", "5", form="ranking")
    assert seen == [((9, 2), {"temperature": 3.0, "noise": 0.25, "ties": 2.0}),
                    ((9, 5), {"temperature": 3.0, "noise": 0.25})]
    state = 1 + "ahnot".index("o")
    assert asked == [(2, [state] * 9, [1.0, 0.001]), (5, [state] * 9, [1.0, 0.001])]


def test_ties_are_left_out_and_counted(made):
    pairs, err = made("--pairs", "200", "--ties", "3")
    same = sum(pair.chosen == pair.rejected for pair in pairs)
    assert 0 < len(pairs) < 200
    assert err.startswith(f"toy_lm: {len(pairs)} pairs, {same} of them of two equal responses; "
                          f"{200 - len(pairs)} ties left out\n")
    none, err = made("--pairs", "5", "--ties", "1000000", "--rater-temperature", "1000000")
    assert none == [] and err.endswith("; 5 ties left out\n")


PROMPTS = b'{"prompt": "ha"}\r\n\r\n{"prompt": "", "id": 7}\n{"prompt": "ha"}\n{"prompt": "oo"}\n'


@pytest.mark.parametrize("dash", [False, True])
def test_every_prompt_of_a_file_is_answered_as_often_and_goes_on_where_it_ends(made, dash):
    """At order 3, without smoothing, each of the later prompts leaves one way to go on."""
    Path("prompts.jsonl").write_bytes(PROMPTS)
    given = ["--prompts", "-" if dash else "prompts.jsonl", "--pairs", "3"]
    for form in "explicit", "ranking":
        records, err = made(*given, form=form, stdin=PROMPTS if dash else b"")
        assert [record.prompt for record in records] == ["ha"] * 3 + [""] * 3 + ["ha"] * 3 + [
            "oo"] * 3
        assert err.startswith("toy_lm: 12 ")
    save("names.npz", fit(["katoma", "ilusep"], order=3, pseudo_count=0))
    rest = {"ka": "toma", "i": "lusep", "katom": "a", "ilusep": "", "k": "atoma"}
    data = "".join(f'{{"prompt": "{text}"}}\n' for text in rest).encode()
    Path("prompts.jsonl").write_bytes(data)
    pairs, _ = made(*given, stdin=data if dash else b"")
    assert pairs == [(prompt, text, text) for prompt, text in rest.items() for _ in range(3)]


@pytest.mark.parametrize("form", FORMS)
def test_responses_without_an_end_are_left_out_and_counted(made, form):
    """With their prompts; and if nothing is left, an empty file is written."""
    save("names.npz", endless("abc"))
    Path("prompts.jsonl").write_text("".join(f'{{"prompt": "{letter}"}}\n' for letter in "bab"))
    records, err = made("--prompts", "prompts.jsonl", "--pairs", "2", form=form)
    assert len(records) == (4 if form == "unpaired" else 2)
    assert {record.prompt for record in records} == {"a"}
    assert err.startswith("toy_lm: 4 left out, because a response had no end after 1000 steps\n")
    none, err = made("--prompt", "b", "--pairs", "3", form=form)
    assert none == [] and err.startswith("toy_lm: 3 left out, ") and err.count("\n") == 2


# Standard input and output.


def test_a_pipe_leads_from_training_to_scoring(folder):
    """Real processes: a model is all that training prints, and its report goes to stderr."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    run = [sys.executable, "-m", "toy_lm"]
    with open("names.txt", "rb") as names:
        train = subprocess.Popen([*run, "train", "-", "--out", "-", "--heldout", "0"], stdin=names,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    score = subprocess.run([*run, "score", "-", "names.txt"], stdin=train.stdout,
                           capture_output=True, env=environment)
    report = train.communicate()[1].decode()
    assert (train.returncode, score.returncode, score.stderr) == (0, 0, b"")
    nats = re.search(f"training: {NUMBER} nats", report)[1]
    lines = score.stdout.decode().splitlines()
    assert lines[-1] == f"nats per character: {nats}" and len(lines) == 12
    assert report.startswith("items: 11, 0 of them held out\nsymbols: 6, the end included\n")


def test_pairs_on_standard_output_are_those_of_the_file(command, folder):
    given = "pairs", "names.npz", "--pairs", "5"
    status, out, err = command(*given, "--out", "-")
    assert status == 0 and command(*given, "--out", "out.jsonl") == (0, "", err)
    assert out == Path("out.jsonl").read_text() and len(out.splitlines()) == 5
    model = Path("names.npz").read_bytes()
    assert command("pairs", "-", *given[2:], "--out", "-", stdin=model) == (0, out, err)
    assert command("sample", "-", stdin=model) == command("sample", "names.npz")


# What is refused.


TRAIN, SCORE = ["train", "-", "--out", "m.npz"], ["score", "names.npz", "-"]
SAMPLE = ["sample", "names.npz"]
PAIRS = ["pairs", "names.npz", "--out", "out.jsonl"]
ALIGN = ["align", "names.npz", "p.jsonl", "--out", "a.npz", "--method"]


MISSING = "cannot read missing: No such file or directory"
NO_MODEL = "holds no model: it is no .npz archive"


@pytest.mark.parametrize("arguments, data, message", [
    *((given, b"", MISSING) for given in (
        ["train", "missing", "--out", "m.npz"], ["score", "missing", "names.txt"],
        ["sample", "missing"], ["pairs", "missing", "--out", "-"],
        [*PAIRS, "--prompts", "missing"])),
    *((given, b"", "cannot read .: Is a directory") for given in (
        ["train", ".", "--out", "m.npz"], ["score", "names.npz", "."],
        ["pairs", ".", "--out", "-"])),
    *((given, b"", "bad.txt, line 3: not UTF-8 (byte 0xf6)") for given in (
        ["train", "bad.txt", "--out", "m.npz"], ["score", "names.npz", "bad.txt"])),
    (TRAIN, b"one\n\n\xff", "standard input, line 3: not UTF-8 (byte 0xff)"),
    *((given, data, "standard input holds no item: one item per line is expected")
      for given, data in ((TRAIN, b""), (TRAIN, b" \r\n\t\n"), (SCORE, b""))),
    ([*SCORE, "--skip"], b"hu\nX\n",
     "standard input holds no item of the letters that the model knows"),
    (TRAIN, b"aa\na\n",
     "standard input: the corpus must have at least two different letters, got 'a'"),
    (["train", "names.txt", "--out", "m.npz", "--order", "11"], b"",
     "--order 11 is too much for 6 symbols: the table would have 6^11 entries, and at most "
     "20,000,000 are allowed"),
    (["train", "names.txt", "--out", "m.npz", "--order", "1" + "0" * 9], b"",
     "--order 1000000000 is too much for 6 symbols: "),
    (["score", "names.txt", "names.txt"], b"", f"names.txt {NO_MODEL}"),
    (["score", "-", "names.txt"], b"", f"standard input {NO_MODEL}"),
    (SCORE, b"\r\nnat\r\n\r\nhut\r\n",
     "standard input, line 4: 'u' is not among the 5 letters that the model knows"),
    (["sample", "names.txt"], b"", f"names.txt {NO_MODEL}"),
    ([*SAMPLE, "--prompt", "haX"], b"", "the prompt 'haX' contains 'X', which is not in"),
    ([*PAIRS, "--prompt", "Xha"], b"", "the prompt 'Xha' contains 'X', which is not in"),
    ([*PAIRS, "--prompts", "-"], b"\r\n", "standard input holds no prompt"),
    ([*PAIRS, "--prompts", "-"], b'{"prompt": "ha"}\n\n{"prompt": "hu"}',
     "standard input, line 3: 'u' is not among the 5 letters that the model knows"),
    ([*PAIRS, "--prompts", "-"], b'\n{"prompt": "h\\na"}',
     "standard input, line 2: '\\n' is not among the 5 letters that the model knows"),
    ([*PAIRS, "--prompts", "-"], b'{"prompt": "ha"}\n{"text": "ha"}',
     'standard input, line 2: "prompt" is missing'),
    ([*TRAIN, "--smoothing", "witten_bell", "--pseudo-count", "0.1"], b"",
     "--pseudo-count is for --smoothing add"),
    (["score", "-", "-"], b"", "only one file can be standard input"),
    (["pairs", "-", "--prompts", "-", "--out", "-"], b"", "only one file can be standard input"),
    ([*PAIRS, "--form", "ranking", "--ties", "0"], b"",
     "--ties is for pairs: a ranking has none"),
    *(([*PAIRS, "--form", "ranking", "--reward", "palindrome", *given], b"",
       f"--reward palindrome says yes or no, and cannot rank {K} responses: give --responses 2")
      for K, given in ((4, []), (3, ["--responses", "3"]))),
    ([*PAIRS, "--responses", "3"], b"", "--responses is for rankings: give --form ranking too"),
])
def test_what_cannot_be_used_is_refused_in_one_line(command, folder, arguments, data, message):
    Path("bad.txt").write_bytes(b"anna\n\nb\xf6b\n")
    before = sorted(os.listdir())
    status, out, err = command(*arguments, stdin=data)
    assert status == 2 and out == "" and err.startswith(f"toy_lm: {message}")
    assert err.count("\n") == 1 and err.endswith("\n") and sorted(os.listdir()) == before


@pytest.mark.parametrize("out", ["names.txt", "./names.txt", "link", "twin", "../{}/names.txt"])
def test_what_is_read_is_not_overwritten(command, folder, out):
    """By any command, however it is spelled."""
    out, data = out.format(Path.cwd().name), Path("names.txt").read_bytes()
    Path("link").symlink_to("names.txt")
    os.link("names.txt", "twin")
    for given in (["train", "names.txt"], ["train", "-", "--also", "twin"],
                  ["pairs", "names.txt"], ["pairs", "names.npz", "--prompts", "link"],
                  ["align", "names.txt", "p.jsonl", "--method", "dpo"],
                  ["align", "names.npz", "names.txt", "--method", "dpo"]):
        assert command(*given, "--out", out) == (
            2, "", f"toy_lm: cannot write {out}: the same file is read\n")
    assert Path("names.txt").read_bytes() == data


def test_a_model_keeps_its_mode_and_a_read_only_one_is_kept(command, folder):
    for mode, status in (0o600, 0), (0o664, 0), (0o444, 2), (0o400, 2):
        Path("m.npz").write_bytes(b"")
        Path("m.npz").chmod(mode)
        assert command("train", "names.txt", "--out", "m.npz")[0] == status
        assert Path("m.npz").stat().st_mode & 0o777 == mode
        assert (Path("m.npz").read_bytes() == b"") == (status == 2)
        Path("m.npz").unlink()


def test_a_program_that_calls_us_may_have_replaced_standard_output(folder, monkeypatch, capsys):
    """A text takes text, but no model; and it is given back as it was."""
    model = "standard output takes only text here: name a file"
    for given, status, text, err in (
            (["train", "names.txt", "--out", "m.npz"], 0, "items: 11", ""),
            (["sample", "names.npz", "-n", "3"], 0, "\n", ""),
            (["score", "names.npz", "names.txt"], 0, "\tanna\n", ""),
            (["pairs", "names.npz", "--out", "-", "--pairs", "1"], 0, '{"prompt":', "1 pair"),
            (["train", "names.txt", "--out", "-"], 2, "", model), (["moon"], 2, "", "choose from"),
            ([], 2, "", "required"), (["sample", "--help"], 0, "usage: toy_lm sample", "")):
        for stream in io.StringIO(), Pad():
            monkeypatch.setattr(sys, "stdout", stream)
            assert command_line.main(given) == status
            assert text in stream.getvalue() and (stream.getvalue() == "") == (text == "")
            assert err in capsys.readouterr().err
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    assert command_line.main(["sample", "names.npz"]) == 0 and out.encoding == "latin-1"


def test_the_largest_table_allowed_is_allowed(command, folder, monkeypatch):
    monkeypatch.setattr(command_line, "LARGEST", 6**3)
    given = "train", "names.txt", "--out", "m.npz", "--order"
    assert command(*given, "3")[0] == 0 and command(*given, "4")[0] == 2


@pytest.mark.parametrize("name", ["missing/out", ".", "names.txt/out"])
def test_a_result_that_could_not_be_written_is_refused_before_any_work(command, folder, monkeypatch,
                                                                       name):
    for owner, work in (corpora, "read_lines"), (models, "load"), (jsonl, "read_prompts"):
        monkeypatch.setattr(owner, work, lambda *_: pytest.fail("work was begun"))
    for given in ["train", "names.txt"], ["pairs", "names.npz", "--prompts", "-"]:
        status, out, err = command(*given, "--out", name)
        assert status == 2 and out == "" and err.count("\n") == 1
        assert err.startswith(f"toy_lm: cannot write {name}: ")


RANGES = [  # a command, an argument, what it must be, and values that are not
    (TRAIN, "--order", "be at least 1", "0"),
    (TRAIN, "--pseudo-count", "lie between 0 and 1e+09", "-0.1 nan"),
    (TRAIN, "--heldout", "lie between 0 and 0.9", "1"),
    (SAMPLE, "-n", "lie between 1 and 1e+07", "0 1000000000000"),
    (SAMPLE, "--temperature", "lie between 0.001 and 1000", "0"),
    (SAMPLE, "--top-k", "be at least 1", "0"), (SAMPLE, "--horizon", "be at least 1", "0"),
    *((given, "--top-p", "lie between 0 and 1", "1.1 -0.1 nan") for given in (SAMPLE, SCORE)),
    (SAMPLE, "--seed", "be at least 0", "-1"),
    (PAIRS, "--pairs", "lie between 1 and 1e+07", "0 1000000000000"),
    (PAIRS, "--responses", "lie between 2 and 1000", "1"),
    (PAIRS, "--noise", "lie between 0 and 1", "1.1"),
    (PAIRS, "--ties", "lie between 0 and 1e+06", "-1"),
    (PAIRS, "--rater-temperature", "lie between 1e-06 and 1e+06", "0"),
    ([*PAIRS, "--temperatures", "1"], "--temperatures", "lie between 0.001 and 1000", "0"),
    ([*ALIGN, "dpo"], "--beta", "lie between 1e-06 and 1e+06", "0"),
    ([*ALIGN, "dpo"], "--pull", "lie between 0 and 1e+09", "-1"),
    ([*ALIGN, "simpo"], "--simpo-gamma", "lie between 0 and 1e+06", "nan")]


@pytest.mark.parametrize("arguments, message", [
    *(([*given, *[name][name in given:], value], f"argument {name}: must {must}, got {value}")
      for given, name, must, values in RANGES for value in values.split()),
    (["--vers"], "the following arguments are required: train"),
    ([], "the following arguments are required: train | score | sample | pairs"),
    (["read"], "invalid choice: 'read'"), (["tain", "x"], "'tain', did you mean 'train'? (choose"),
    (["samples"], "'samples', did you mean 'sample'? (choose from train, score, sample, pairs"),
    (["train", "--out", "m"], "required: FILE"),
    (["train", "names.txt"], "required: --out"), (["score", "names.npz"], "required: FILE"),
    (["sample"], "required: MODEL"), (["pairs", "names.npz"], "required: --out"),
    (ALIGN[:-1], "required: --method"), ([*ALIGN, "ppo"], "--method: invalid choice: 'ppo'"),
    (["train", "", "--out", "m"], "argument FILE: the name of a file is expected, got ''"),
    (["train", "-", "--out", ""], "argument --out: the name of a file is expected, got ''"),
    ([*TRAIN, "--order", "2.0"], "argument --order: '2.0' is not a whole number"),
    ([*TRAIN, "--held", "0.1"], "unrecognized arguments: --held 0.1"),
    ([*TRAIN, "--smoothing", "0.1"], "argument --smoothing: invalid choice: '0.1'"),
    ([*SAMPLE, "--temp", "1"], "unrecognized arguments: --temp 1"),
    *(([*given, "--prompt", "\udcc3"], "argument --prompt: '\\udcc3' is not UTF-8")
      for given in (SAMPLE, PAIRS)),
    ([*PAIRS, "--temperatures"], "argument --temperatures: expected at least one argument"),
    ([*PAIRS, "--reward", "long"], "argument --reward: invalid choice: 'long'"),
    ([*PAIRS, "--form", "list"], "argument --form: invalid choice: 'list'"),
    ([*PAIRS, "--prompt", "a", "--prompts", "-"],
     "argument --prompts: not allowed with argument --prompt"),
])
def test_a_wrong_argument_is_refused_by_name(command, folder, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2 and out == "" and err.startswith("usage: toy_lm")
    assert message in err.splitlines()[-1] and "Traceback" not in err


def test_help_names_every_job_and_the_version_is_printed(command):
    status, out, err = command("--help")
    assert status == 0 and err == "" and all(
        f"    {job} " in out for job in ("train", "score", "sample", "pairs"))
    assert command("--version") == (0, f"toy_lm {__version__}\n", "")
    for job, names in (("train", "FILE --out --order --smoothing --pseudo-count --heldout"),
                       ("score", "MODEL FILE --temperature --top-k --top-p --skip"),
                       ("sample", "MODEL -n --prompt --temperature --top-k --top-p --horizon "
                                  "--seed"),
                       ("pairs", "MODEL --out --pairs --prompt --prompts --reward --temperatures "
                                 "--rater-temperature --noise --ties --form --responses --seed")):
        status, out, err = command(job, "--help")
        assert status == 0 and all(name in out for name in names.split())
