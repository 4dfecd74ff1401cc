"""Exercises: functions of the book for the reader to write, graded by the gradient checks.

    minirl exercise                  what there is, and what is solved
    minirl exercise dpo              writes dpo_exercise.py: signature, equation, no body
    minirl exercise dpo --check      grades it

The exercises, by the part of the book that they belong to:

    tables       Parts 1 and 2: softmax, counts, backups, values
    playing      Part 3: returns, advantages, and values from play
    clipping     Part 3, the end: the policy gradient, and PPO
    imitation    Part 4: demonstrations, the best of n, the exact optimum, and the KL
    rewards      Part 4: reward models, groups, and what is trained on them
    preferences  Part 4: losses on pairs
    gates        Part 4, the end: losses of margins, and surrogates of a ratio
    teachers     Part 4, the end: learning from a teacher
    beyond       Part 5: contrasts, right answers, laws of scale

and what they need:

    exercise     an exercise, a case, a mistake; the book with a mistake in it
    cutting      the reader's file, cut from the book's own source
    grading      what a reader is told of a function
    mistakes     which famous mistake gives these very numbers
    attempt      the reader's file, graded in a process of its own
    progress     what is solved
    quiz         the three questions of a chapter
    breaking     the tests that catch a mistake
    command      the command line
"""

from minirl.console import did_you_mean
from minirl.exercises import (beyond, clipping, gates, imitation, playing, preferences, rewards,
                              tables, teachers)
from minirl.exercises.exercise import Exercise

EXERCISES = (tables.ON_TABLES + playing.ON_PLAYING + clipping.ON_CLIPPING
             + imitation.ON_IMITATION + rewards.ON_REWARDS + preferences.ON_PREFERENCES
             + gates.ON_GATES + teachers.ON_TEACHERS + beyond.ON_BEYOND)


def exercise_called(name) -> Exercise:
    """The exercise of a name; ValueError if there is none."""
    return _called("exercise", name, {one.name: one for one in EXERCISES})


def mistakes_by_name():
    """{"exercise.mistake": (exercise, mistake)}, in reading order."""
    return {f"{one.name}.{mistake.name}": (one, mistake)
            for one in EXERCISES for mistake in one.mistakes}


def mistake_called(name):
    """The exercise and the mistake of a name such as `dpo.no_reference`."""
    return _called("mistake", name, mistakes_by_name())


def _called(kind, name, found):
    if name not in found:
        raise ValueError(f"there is no {kind} {name!r}{did_you_mean(name, found)} (a list: minirl "
                         f"exercise{' --break' * (kind == 'mistake')})")
    return found[name]
