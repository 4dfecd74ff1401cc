"""Reinforcement learning and the alignment of language models, from scratch in NumPy.

The contents page.  Every chapter is a module: its docstring is the text, its functions are the
equations.  A part imports only parts above it, and a chapter of a part only chapters above it, so
the reading order is also the dependency order.  Each part lists what its chapters are about.
After `import minirl` a part is there with all its chapters, as in `minirl.kernel.softmax`.  Only
the files of `plain` stand alone, and each is imported by its name: `import minirl.plain.ppo`.

Some things hold everywhere and are said only here.  An argument that does not fit is refused by a
`ValueError` that names it, what came and what is accepted.  A whole number may be a float that is
whole, so 3.0 does what 3 does.  A loss returns (loss, gradient), the gradient in the shape of the
table it was taken in.  An argument `rng` is a NumPy `Generator` or a seed.

Chapter 0
    introduction  agent, world, policy, return; the running example; how to read this book
Five pages to turn to
    symbols       every letter, what it means and where
    glossary      every term, and the chapter that says what it is
    errata        what is often printed or shipped, and what is right
    compared      all methods side by side, and how to add a loss of your own
    names         what three libraries call the methods of this book
Every algorithm on one screen
    plain         episode value_iteration q_learning reinforce actor_critic ppo language_model
                  reward_model best_of_n rlhf grpo dpo
Part 1, the kernel
    kernel        (checks) softmax (layout) counts (sampling) mdp playing (environment) gradcheck
Part 2, exact answers
    exact         (solving) evaluation (gains) planning (average_reward) (return_law) scorecard
Part 3, learning from play
    play          optim returns training prediction exploration (many_learners) q_learning
                  reinforce baselines actor_critic surrogate ppo ppo_kl
Part 4, learning from people
    people        (fitting) pairs sft best_of_n regularised kl (existence) reward_model
                  (calibration) rlhf groups grpo dpo ipo kto simpo orpo margins ratios
                  distillation unified
Part 5, beyond the table
    beyond        contrastive inference cascade search tree_search scaling harvest network

A chapter in brackets is a side road: it holds what makes an answer certain, or fast.  The main way
never needs it.  Read it after its part, or when a chapter sends you there.

Beside the parts, `lab` holds the experiments, `files` and `console` what the command lines need to
read, write and print, `start` how they begin and end, `checkpoints` how a record becomes a file,
and `__main__` the command line.  The worlds are in `gridworld` (to draw) and `toy_lm` (to read);
`minirl` itself knows neither grids nor text.
"""

import importlib

__version__ = "2.0.0"


def __getattr__(name):
    """A part of the book or a page of it, imported when it is first asked for."""
    if name in {"introduction", "symbols", "glossary", "errata", "compared", "names",
                "plain", "kernel", "exact", "play", "people", "beyond"}:
        return importlib.import_module(f"minirl.{name}")
    raise AttributeError(f"module 'minirl' has no attribute {name!r}")
