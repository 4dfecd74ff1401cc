"""Worlds you can read: character-level language models, the data that people make for them, and the
arrays that `minirl` learns from.

In reading order:

    vocabulary      characters to numbers and back, with one symbol for start and end
    corpora         real text: the words of Unicode's character names, or a file of your own
    ngram           the model: a table policy, made into a world, sampled, and scored
    smoothing       long memories that ask shorter ones about what they have not seen
    contexts        memories too long for a table, of which only what occurs is kept
    exact           what a model writes, exactly: length and entropy
    models          a model with its letters: fitted, saved, loaded
    rewards         what makes a string good, as a table over its steps
    verifiers       rules of the whole string, and what they cost a bigram
    jsonl           data files, in the forms that people have
    demonstrations  instruction data, and how models make more of it
    raters          scores, choices, rankings: people, programs and models that judge
    preferences     responses to prompts, and which of two is better
    align           from a file of preferences to a model that writes what was preferred
    lines           what is in a line: words, shingles, and what Unicode knows of a character

`python -m toy_lm` trains, scores and samples models of your own text, makes preference data, and
fits a model to such data.
"""
