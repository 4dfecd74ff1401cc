"""What the language models, their data and their raters refuse."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from refusals import fraction, not_negative, outside, positive, row, whole

from minirl.exact.evaluation import NoEnd
from minirl.kernel import counts
from toy_lm.corpora import check_letters, held_out, read_lines
from toy_lm.demonstrations import complete, filtered, self_instruct
from toy_lm.exact import lengths, summary
from toy_lm.jsonl import Demonstration, Labelled, Pair, Ranking, write, write_implicit
from toy_lm.models import Model, fit, load, save
from toy_lm.ngram import (decoding, language, nats_per_character, order_of, sample, score,
                          widen)
from toy_lm.preferences import from_text, improve, respond, sample_pairs, whole_groups
from toy_lm.raters import (choose, compare, judgement, pairs_of_ranking, pairs_of_scores, rank,
                           ranking_from_pairs, ranking_of_scores, undecided)
from toy_lm.rewards import easy_to_say, letters, of_strings
from toy_lm.smoothing import kneser_ney, witten_bell
from toy_lm.verifiers import (gap, is_palindrome, matches, objective_loss, palindrome_counts,
                              pattern_classes, pattern_counts)
from toy_lm.vocabulary import Vocabulary, from_items, from_tokens

NO, ABC = Vocabulary("no"), Vocabulary("abc")
LOGITS = np.zeros((4, 4))
MODEL = Model(ABC, LOGITS)
NO_ORDER = "S = A^(order - 1) states, got {}"
ENDLESS = np.array([[-800.0, 0.0, 0.0]] * 3)
NEVER = np.array([[-np.inf, 0.0, 1.0]] * 3)
CUT = counts.steps(np.zeros(0, int), np.zeros(0, int), np.array([0, 0]), (4, 4))
V_ALONE = partial(pattern_counts, classes=pattern_classes(Vocabulary("ab"), "V"))


def words_file(data, message):
    """The row of a corpus file; `{}` in the message is its name."""
    def problem():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "words.txt")
            if data is not None:
                path.write_bytes(data)
            return row(lambda: read_lines(path), message.format(path))()
    return problem


def unreadable(message, items, **options):
    """The row of strings that `encode` cannot read."""
    return row(lambda: NO.encode(items, **options), message)


def writes(record, *, writer=write):
    """The row of a record that is no Unicode text, behind two that are."""
    good = record._replace(**{name: "a" if isinstance(text, str) else ("a", "b")
                              for name, text in record._asdict().items() if text is not True})

    def problem():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "data.jsonl")
            refused = row(lambda: writer(path, [good, good, record, record]),
                          "record 3 contains a lone surrogate, which is no character")()
            return refused or (f"{path} was written" if path.exists() else None)
    return problem


def drawn(**options):
    return sample_pairs(LOGITS, **{"rewards": LOGITS, "pairs": 2, "rng": 0, **options})


def answered(**options):
    return respond(LOGITS, **{"num_generations": 2, "rng": 0, **options})


ROWS = {
    "vocabulary": [
        *whole("order", lambda order: NO.shape(order), 2),
        *whole("order", lambda order: NO.encode(["on"], order=order), 3),
        *whole("order", lambda order: NO.state("o", order=order), 3),
        *(unreadable(f"a table of 3^{order} entries cannot be numbered with 32 bits", ["on"],
                     order=order) for order in (20, 60)),
        *(unreadable(f"prompts must be one per item, 2, got {len(prompts)}", ["o", "n"],
                     prompts=prompts) for prompts in ([], ["o"], ["o", "n", "o"])),
        *(unreadable(f"item {number} contains {letter!r}, which is not in the vocabulary of 2 "
                     f"letters", items) for items, number, letter in (
            (["on", "no", "ox"], 3, "x"), (["z"], 1, "z"), (["on", "", "\0"], 3, "\0"),
            (["On"], 1, "O"), (["on", "m"], 2, "m"), (["no\U0001d538"], 1, "\U0001d538"),
            (["xy", "z"], 1, "x"))),
        *(unreadable(f"item {number} contains a line feed", items) for items, number in (
            (["on", "o\nn"], 2), (["on\n"], 1), (["\n"], 1), (["no", "on", "\n\n", "\n"], 3),
            (["o\nn", "x"], 1))),
        unreadable("item 2 contains 'x', which is not in the vocabulary of 2 letters", ["on", "o"],
                   prompts=["", "nx"]),
        unreadable("item 2 contains a line feed", ["on", "o"], prompts=["", "o\n"]),
        unreadable("item 2 contains a line feed", ["on", "\n"], prompts=["n", ""]),
        *(row(lambda prompt=prompt, order=order: NO.state(prompt, order=order),
              f"the prompt {prompt!r} contains {reason}")
          for order in (1, 2, 3) for prompt, reason in (
            ("nx", "'x', which is not in the vocabulary of 2 letters"), ("o\nn", "a line feed"),
            ("\ud800", "'\\ud800', which is not in"))),
        row(lambda: from_items([]), "the corpus is empty"),
        *(row(lambda call=call, items=items: call(items), f"must be a list of strings, got {got}")
          for items, got in (("on", "'on'"), (["on", np.nan], "nan"), (["on", None], "None"),
                             ([b"on"], "b'on'"))
          for call in (from_items, NO.encode, fit, lambda prompts: NO.encode(["n"] * len(prompts),
                                                                             prompts=prompts))),
        *(row(lambda items=items: from_items(items), f"at least two different letters, got {got!r}")
          for items, got in (([""], ""), (["aaa", "a"], "a"), (["a\n", "\na"], "a"))),
        row(lambda: ABC.decode(NO.encode(["no"])), "table of 4 symbols, got (3, 3)"),
        *(row(lambda tokens=tokens, order=order: from_tokens(tokens, ABC.shape(order)), message)
          for order in (1, 2, 3) for tokens, message in (
            (np.array([1, 0]), "tokens must be integers of shape (B, T), got int64 of shape (2,)"),
            (np.zeros((1, 1, 1), int), "of shape (B, T), got int64 of shape (1, 1, 1)"),
            (np.ones((1, 1)), "tokens must be integers of shape (B, T), got float64 of shape"),
            (np.array([[1, 4, 0]]), "tokens must lie in [0, 4), got [0, 4]"),
            (np.array([[1, 0], [-1, 0]]), "tokens must lie in [0, 4), got [-1, 1]"))),
        *(row(lambda shape=shape: from_tokens(np.array([[1, 0]]), shape),
              f"shape must be (A^(order - 1), A), got {shape}")
          for shape in ((5, 3), (2, 3), (10, 3))),
        *(row(lambda letters=letters: Vocabulary(letters).encode([letters]),
              f"letters must be sorted and different, got {letters!r}")
          for letters in ("on", "nn", "abdc")),
    ],
    "corpora": [
        *(words_file(data, f"{{}}, line {line}: not UTF-8 (byte {byte:#04x})")
          for data, line, byte in (
            (b"\xff", 1, 0xFF), (b"one\ntwo\nthr\xe9e\nfour\xff\n", 3, 0xE9),
            (b"one\r\n\r\n\x80", 3, 0x80), ("one\n".encode("utf-16"), 1, 0xFF),
            (b"\xef\xbb\xbfa\nb\xfe", 2, 0xFE), (b"one\ntw\xf0\x9d\x94", 2, 0xF0))),
        *(words_file(data, "{} holds no item: one item per line is expected")
          for data in (b"", b"\n", b" \t\r\n\n", b"\xef\xbb\xbf")),
        words_file(None, "cannot read {}: No such file or directory"),
        row(lambda: read_lines(tempfile.gettempdir()), "Is a directory"),
        *(row(lambda text=text, letters=letters: check_letters("w.txt", 7, text, letters),
              f"w.txt, line 7: {letter!r} is not among the {len(letters)} letters that the model "
              f"knows") for text, letters, letter in (
            ("onx", "no", "x"), ("no m", "no", " "), ("On", "no", "O"), ("o\0n", "no", "\0"),
            ("o\u00e9", "eno", "\u00e9"), ("zy", "no", "z"), ("o", "", "o"))),
        *outside("fraction", lambda part: held_out(["on", "no"], part),
                 (-0.1, -1e-300, 1, 1.0, 1.5, np.nan, np.inf, -np.inf), "[0, 1)"),
    ],
    "ngram": [
        *(row(lambda shape=shape: order_of(shape), "with A symbols and " + NO_ORDER.format(shape))
          for shape in ((2, 3), (4, 3), (10, 3), (0, 3), (3,), (), (3, 3, 1), (1, 1), (1, 0),
                        (0, 0), (2**30, 2))),
        *(row(lambda shape=shape: language(np.zeros(shape)), NO_ORDER.format(shape))
          for shape in ((2, 3), (4,), (3, 3, 1))),
        row(lambda: language(np.array([[0.0, 0.0], [np.nan, 0.0]])),
            "rewards must be finite, got", "(entry (1, 0) is nan)"),
        *whole("order", lambda order: widen(LOGITS, order), 3, least=2),
        row(lambda: widen(np.zeros((16, 4)), 2), "order must be at least 3, got 2"),
        row(lambda: widen(np.zeros((3, 4)), 3), NO_ORDER.format((3, 4))),
        *positive("temperature", lambda T: decoding(LOGITS, temperature=T)),
        *whole("top_k", lambda k: decoding(LOGITS, top_k=k), 2),
        *fraction("top_p", lambda p: decoding(LOGITS, top_p=p)),
        *(row(lambda f=f: f(np.zeros((2, 3))), NO_ORDER.format((2, 3)))
          for f in (decoding, lambda logits: sample(logits, 1, rng=0))),
        *(row(lambda f=f, table=table: f(table), "logits must be an array of numbers")
          for f in (decoding, lambda logits: sample(logits, 1, rng=0), summary)
          for table in ("no", [[0.0, 1.0], [0.0]], [])),
        *whole("strings", lambda n: sample(LOGITS, n, rng=0), 5),
        *whole("horizon", lambda n: sample(LOGITS, 1, rng=0, horizon=n), 3),
        *(row(lambda prompt=prompt: sample(LOGITS, 2, rng=0, prompt=prompt),
              "whole numbers in [0, 4), got") for prompt in (4, -1, 0.5)),
        *(row(lambda n=n: sample(LOGITS, 4, rng=0, prompt=np.zeros(n, int)),
              f"prompt must be one state, or one per string, 4, got shape ({n},)")
          for n in (3, 5)),
        *(row(lambda f=f: f(LOGITS, ABC.encode(["ab"], order=3)),
              "logits must have shape (16, 4), got (4, 4)") for f in (score, nats_per_character)),
        row(lambda: nats_per_character(LOGITS, ABC.encode([])),
            "the number of steps must be positive and finite, got 0"),
    ],
    "smoothing": [
        *(row(lambda method=method, table=table: method(np.array(table)), message)
          for method in (witten_bell, kneser_ney) for table, message in (
            ([[1.0, -1.0]], "not negative and not all zero, got values from -1.0 to 1.0"),
            ([[np.nan, 1.0]], "counts must be finite"), ([[np.inf, 1.0]], "counts must be finite"),
            ([[0, 0, 0]], "not all zero, got values from 0.0 to 0.0"),
            ([[1, 0, 1], [1, 1, 1]], NO_ORDER.format((2, 3))),
            (["ab"], "counts must be an array of numbers"))),
        row(lambda: kneser_ney(np.array([[1.0, 0.5]])), "counts must be whole numbers, got 0.5"),
    ],
    "exact": [
        *(row(lambda f=f: f(np.zeros((2, 3))), NO_ORDER.format((2, 3)))
          for f in (summary, lambda logits: lengths(logits, 3))),
        *whole("horizon", lambda n: lengths(np.zeros((3, 3)), n), 4),
        row(lambda: summary(NEVER), "from state 0 this policy never ends", kind=NoEnd),
    ],
    "models": [
        row(lambda: fit([]), "the corpus is empty"),
        row(lambda: fit(["aa"]), "at least two different letters, got 'a'"),
        row(lambda: fit(["on", "ox"], vocabulary=NO), "item 2 contains 'x', which is not in the"),
        *whole("order", lambda order: fit(["on"], order=order), 3),
        *not_negative("pseudo_count", lambda n: fit(["on"], pseudo_count=n)),
        row(lambda: fit(["on"], smoothing="kneser_ney"),
            "smoothing must be a function of counts, got 'kneser_ney'"),
        row(lambda: fit([], vocabulary=NO), "not all zero"),
        row(lambda: load("missing.npz"), "cannot read missing.npz: No such file or directory"),
        row(lambda: save("/dev/null", Model(NO, LOGITS)), "logits must be a float64 table with 3"),
        row(lambda: MODEL.world(np.zeros((16, 4))), "order must be at least 3, got 2"),
        *whole("strings", lambda n: MODEL.write(n, rng=0), 3),
    ],
    "rewards": [
        row(lambda: of_strings(ABC, np.zeros((3, 3))),
            "table must have shape (4, 4), got (3, 3)"),
        *(row(lambda wrong=wrong: of_strings(ABC, wrong), "table must be")
          for wrong in (LOGITS * np.nan, [[None]], "a")),
        *(row(lambda wrong=wrong: easy_to_say(ABC, letter=wrong), "letter must be finite, got ")
          for wrong in (np.nan, None, "a")),
        *(row(lambda wrong=wrong: letters(wrong), "shape must ") for wrong in ((2.5, 2), 3, "ab")),
    ],
    "verifiers": [
        *(row(call, "pattern must be a string, got 3")
          for call in (lambda: matches("a", 3), lambda: pattern_classes(ABC, 3))),
        row(lambda: matches(None, "V"), "text must be a string, got None"),
        *(row(lambda pattern=pattern: pattern_classes(Vocabulary("abe"), pattern),
              f"pattern must consist of V, C, . and letters of the vocabulary, got {letter!r}")
          for pattern, letter in (("Vxb", "x"), ("B", "B"), ("v", "v"), ("a\n", "\n"))),
        *(row(lambda call=call, table=table: call(table),
              f"logits must be the table of a bigram, (A, A), got {table.shape}")
          for table in (np.zeros((9, 3)), np.zeros((1, 3)))
          for call in (palindrome_counts, V_ALONE,
                       lambda logits: gap(logits, palindrome_counts, bonus=1.0, beta=1.0))),
        row(lambda: palindrome_counts(np.zeros((2, 3))), "must have the shape (S, A)"),
        *positive("beta", lambda b: objective_loss(LOGITS, LOGITS, palindrome_counts, bonus=1.0,
                                                   beta=b)),
        *(row(lambda b=b: objective_loss(LOGITS, LOGITS, palindrome_counts, bonus=b, beta=1.0),
              "bonus must be finite") for b in (np.nan, None, "1")),
        *positive("bonus", lambda b: gap(LOGITS, palindrome_counts, bonus=b, beta=1.0)),
        *positive("beta", lambda b: gap(LOGITS, palindrome_counts, bonus=1.0, beta=b)),
        *(row(lambda call=call, rule=rule: call(ENDLESS, rule), "from state 0 this policy never",
              kind=NoEnd) for rule in (palindrome_counts, V_ALONE) for call in (
            lambda logits, rule: gap(logits, rule, bonus=1.0, beta=1.0),
            lambda logits, rule: objective_loss(logits, np.zeros((3, 3)), rule, bonus=1.0,
                                                beta=1.0))),
        row(lambda: gap(np.array([[-800.0, 0.0, -800.0]] * 3), palindrome_counts, bonus=1.0,
                        beta=1.0), "end"),
        row(lambda: gap(fit(["ab", "ba"], pseudo_count=0).logits, palindrome_counts, bonus=1.0,
                        beta=1.0), "ref_logits must be finite"),
        *(row(lambda classes=classes: pattern_counts(LOGITS, classes),
              "classes must have 4 columns, without the end symbol")
          for classes in (np.full((2, 4), True), np.full((2, 3), False), np.full(4, False))),
    ],
    "jsonl": [
        *map(writes, (Demonstration("\ud800", ""), Demonstration("", "a\udfff"),
                      Pair("", "", "\ud83d"), Labelled("", "\ude00", True),
                      Ranking("", ("a", "b", "\ud83d")))),
        *(writes(pair, writer=write_implicit) for pair in (
            Pair("\ud83d", "", "a"), Pair("", "a", "\udfff"), Pair("\ud83d", "\ude00", ""))),
    ],
    "demonstrations": [
        *(problem for call in (
            lambda **given: complete(MODEL, **given),
            lambda **given: filtered(MODEL, is_palindrome, **given),
            lambda **given: next(self_instruct(["ab", "ba"], is_palindrome, **given)))
          for problem in (
            *whole("strings", lambda n, call=call: call(strings=n, rng=0), 3),
            *positive("temperature", lambda T, call=call: call(strings=1, rng=0, temperature=T)))),
        *(row(lambda call=call, prompts=prompts: call(1, rng=0, prompts=prompts), message)
          for call in (partial(complete, MODEL), partial(filtered, MODEL, is_palindrome))
          for prompts, message in ((["a", "axe"], "the prompt 'axe' contains 'x'"),
                                   ([], "prompts must be at least one, got none"))),
        *(row(lambda seeds=seeds, options=options: next(self_instruct(seeds, is_palindrome, rng=0,
                                                                      **options)), message)
          for seeds, options, message in (
            ([], {}, "the corpus is empty"),
            (["aa"], {}, "at least two different letters, got 'a'"),
            (["a\nb"], {}, "item 1 contains a line feed"),
            (["ab"], {"order": 0}, "order must be at least 1, got 0"),
            (["ab"], {"pseudo_count": -0.1}, "must be finite and not negative, got -0.1"))),
    ],
    "raters": [
        *(row(lambda rater=rater, shape=shape: rater(np.zeros(shape), rng=0),
              f"rewards must have a row per prompt and a column per response, {number}, got shape "
              f"{shape}") for rater, number, shape in (
            (choose, "two", (3, 1)), (choose, "two", (2,)), (choose, "two", (1, 2, 2)),
            (choose, "two", (1, 3)), (rank, "two or more", (3, 1)), (rank, "two or more", (2,)),
            (rank, "two or more", (1, 2, 2)))),
        *(row(lambda call=call, wrong=wrong: call(wrong), "scores must ")
          for call in (ranking_of_scores, pairs_of_scores, undecided)
          for wrong in (None, [1.0, 2.0], [[1.0, None]], [[1.0], [1.0, 2.0]], [[np.nan, 1.0]])),
        *(row(lambda wrong=wrong: pairs_of_ranking(wrong),
              "every row of ranking must hold the numbers of the responses once, got")
          for wrong in ([0, 1], [[0, 2]], [[1, 1]], [[1, 0], [0, 0]], [[0.5, 1.0]], None)),
        *(problem for rater in (choose, compare, rank) for problem in (
            *(row(lambda rater=rater, wrong=wrong: rater(np.array([[0.0, wrong]]), rng=0),
                  "rewards must be finite") for wrong in (np.nan, np.inf, -np.inf, None, "a")),
            *positive("temperature", lambda T, rater=rater: rater(np.zeros((1, 2)), rng=0,
                                                                  temperature=T)),
            *fraction("noise", lambda p, rater=rater: rater(np.zeros((1, 2)), rng=0, noise=p)))),
        *not_negative("ties", lambda nu: choose(np.zeros((1, 2)), rng=0, ties=nu)),
        *(row(lambda pairs=pairs: ranking_from_pairs(pairs, 2),
              f"pairs must be (M, 2) whole numbers in [0, 2), got {pairs}")
          for pairs in (np.array([[0, 2]]), np.array([[-1, 0]]), np.array([0, 1]),
                        np.array([[0, 1, 1]]), np.array([[0.5, 1]]))),
        *whole("responses", lambda K: ranking_from_pairs(np.array([[1, 0], [0, 2], [2, 3]]), K), 4),
        row(lambda: judgement(LOGITS, CUT), "every string must have at least one step, its end"),
        row(lambda: judgement(np.zeros((3, 3)), ABC.encode(["a"])),
            "logits must have shape (4, 4), got (3, 3)"),
    ],
    "preferences": [
        *whole("pairs", lambda pairs: drawn(pairs=pairs), 3),
        *positive("temperature", lambda temperature: drawn(temperature=temperature)),
        *fraction("noise", lambda noise: drawn(noise=noise)),
        *not_negative("ties", lambda ties: drawn(ties=ties)),
        row(lambda: sample_pairs(LOGITS, LOGITS[:3], 1, rng=0),
            "rewards must have shape (4, 4), got (3, 4)"),
        row(lambda: sample_pairs(LOGITS[:3], LOGITS[:3], 1, rng=0), "states, got"),
        *whole("num_generations", lambda K: answered(num_generations=K), 3),
        row(lambda: drawn(prompts=[]), "prompts must be a vector of whole numbers in [0, 4), got"),
        *(row(lambda wrong=wrong: answered(prompts=wrong),
              f"prompts must be a vector of whole numbers in [0, 4), got {np.array(wrong)}")
          for wrong in ([], [[0]], [4], [0, -1], [0.5])),
        *(row(lambda wrong=wrong: answered(temperatures=wrong),
              f"temperatures must be a vector of one to 2, one per response at most, got {wrong}")
          for wrong in ([], 1.0, [1.0, 2.0, 3.0])),
        *(problem for run in (drawn, answered)
          for problem in positive("temperature", lambda wrong, run=run: run(
              temperatures=[1.0, wrong]))),
        *(row(lambda wrong=wrong: improve("ab", lambda texts: wrong(len(texts)), "ab"),
              "what reward returns must ")
          for wrong in (lambda n: 1.0, lambda n: [1.0], lambda n: [None] * n,
                        lambda n: [np.nan] * n, lambda n: [*range(n - 1), "a"])),
        *whole("num_generations", lambda K: whole_groups(ABC.encode(["a", "b"]), K), 2),
        row(lambda: whole_groups(ABC.encode(["a", "b"]), 3), "must divide the number of strings"),
        *(row(lambda wrong=wrong: drawn(rewards=wrong), "rewards must be")
          for wrong in (LOGITS + np.nan, None, [["a"]])),
        *(row(lambda wrong=wrong: from_text(Vocabulary("ab"), [Pair("", "a", "b"), wrong]),
              "item 2 contains 'x', which is not in the vocabulary")
          for wrong in (Pair("x", "a", "b"), Pair("", "ax", "b"), Pair("", "a", "bx"))),
    ],
}
