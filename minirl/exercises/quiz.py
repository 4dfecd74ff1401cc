"""The three exercises at the end of a chapter, "predict, then run", asked one after another."""

import ast
import contextlib
import inspect
import io
import re
import sys
import textwrap
from importlib import import_module
from math import isfinite
from typing import NamedTuple

PREDICTED = 0.05  # a prediction may be off by 5 %, or by half of the last digit shown
_NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:e[-+]?\d+)?|\.\d+|inf)"


class Question(NamedTuple):
    """A question of a chapter, the lines that answer it, and what loads their names."""

    text: str
    lines: tuple
    load: str


def questions_of(text) -> list[Question]:
    """The `Question`s of a chapter, from its docstring."""
    text = inspect.cleandoc(text).partition("**Exercises.**")[2].partition("\nRead next: `")[0]
    load = re.search(r"`(from [^`]*)`", text)[1].replace("\n", " ")
    parts = re.split(r"^\d\. ", text, flags=re.M)[1:]
    return [Question(" ".join(line.strip() for line in part.split("\n")
                              if not line.startswith(7 * " ")).strip(),
                     tuple(line[7:] for line in part.split("\n") if line.startswith(7 * " ")), load)
            for part in parts]


def answer_of(question):
    """What Python's prompt prints for the lines of a question, in NumPy 1 as in NumPy 2."""
    names, output = {}, io.StringIO()
    exec(question.load, names)
    with contextlib.redirect_stdout(output):
        for statement in ast.parse("\n".join(question.lines)).body:
            exec(compile(ast.Interactive([statement]), "exercise", "single"), names)
    return re.sub(r"np\.\w+\(([^()]*)\)", r"\1", output.getvalue()).rstrip("\n")


def is_near(prediction, answer):
    """Whether a prediction is near enough: all its numbers, or else its words."""
    true = re.findall(_NUMBER, answer)
    if not true:
        return "".join(prediction.split()).lower() == "".join(answer.split()).lower()
    said = re.findall(_NUMBER, prediction)
    return len(said) == len(true) and all(map(_near, said, true))


def _near(said, true):
    digits = len(true.partition("e")[0].partition(".")[2])
    said, exact = (float(number.replace(",", "")) for number in (said, true))
    allowed = max(PREDICTED * abs(exact), 0.5 * 10.0**-digits + 1e-12)
    return said == exact or isfinite(exact) and abs(said - exact) <= allowed


def ask(chapter):
    """Ask the three questions of a chapter on the terminal: how many were predicted."""
    found, right = questions_of(import_module(f"minirl.{chapter}").__doc__), 0
    print(f"{len(found)} questions of the chapter {chapter.split('.')[-1]}.  Predict what the "
          f"lines print.  A number\ncounts if it is within {PREDICTED:.0%}, or within half of the "
          f"last digit that is printed.\nWrite 0.25 and not 1/4.\n\n{found[0].load}\n")
    for number, question in enumerate(found, start=1):
        print(textwrap.fill(f"{number}. {question.text}", 88, subsequent_indent="   "))
        print("\n".join(f"       {line}" for line in question.lines))
        answer = answer_of(question)
        many = len(re.findall(_NUMBER, answer))
        prediction = _prediction(many)
        good = is_near(prediction, answer)
        right += good
        print(f"   {'Yes.' if good else 'No.  ' * bool(prediction) + 'It prints'}"
              f"\n{textwrap.indent(answer, '       ')}\n")
    print(f"{right} of {len(found)} predicted.")
    return right


def _prediction(many):
    """What the reader expects, which has so many numbers, asked twice; "" for nothing."""
    wanted = f"{many} number{'s' * (many != 1)}" if many else "in words"
    for asked in f"   Your prediction ({wanted}): ", f"   That is not {wanted}.  Once more: ":
        print(asked, end="", flush=True)
        said = "" if sys.stdin is None else sys.stdin.readline()
        if not said:  # standard input has ended, or is closed
            print("\n   No prediction.")
            return ""
        if not sys.stdin.isatty():  # where nobody has pressed a key
            print()
        if not many or len(re.findall(_NUMBER, said)) == many:
            break
    return said.removesuffix("\n")
