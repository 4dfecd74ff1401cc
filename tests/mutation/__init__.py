"""Mutation testing: the book with one small mistake after another, and whether a test fails.

    operators   the mutants of a source file
    covering    which tests run which lines, and how long they take
    trying      one mutant, and the tests that may kill it
    __main__    the command: `PYTHONPATH=tests python -m mutation --sample 100 --seed 1`
"""
