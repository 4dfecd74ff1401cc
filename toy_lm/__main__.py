"""The command line for text of your own: `python -m toy_lm`, also installed as `toy_lm`.

    toy_lm train FILE --out model.npz     count a corpus, one item per line
    toy_lm score model.npz FILE           how likely are these items?
    toy_lm sample model.npz -n 20         let the model write
    toy_lm pairs model.npz --out FILE     make preference data
    toy_lm align model.npz FILE --method dpo --out aligned.npz      fit a model to preferences

`-` stands for standard input or output.  Exit status: 0 done, 1 failed, 2 a wrong argument or a
file that cannot be used, 130 interrupted.
"""

from minirl.start import by_signal, leave

if __name__ == "__main__":
    by_signal()

import argparse
import sys

from minirl.console import (check_command, counted, file_name, finish, integer, note, number,
                            standard_output, use_one_thread, utf8)

use_one_thread()

import numpy as np

from minirl import __version__, files
from minirl.exact.evaluation import NoEnd
from minirl.files import STANDARD
from minirl.kernel import counts
from minirl.kernel.sampling import generator
from minirl.people.existence import existence, verdict
from minirl.people.pairs import Pairs
from toy_lm import corpora, jsonl, models, raters, rewards, verifiers
from toy_lm.align import METHODS, PULL, certainty, load_preferences, step_names, watched
from toy_lm.ngram import AT_ONCE, HORIZON, decoding, finished, nats_per_character, sample, score
from toy_lm.preferences import from_text, respond, unpaired, whole_groups
from toy_lm.smoothing import kneser_ney, witten_bell
from toy_lm.vocabulary import from_items

LARGEST = 2 * 10**7  # entries of a table; to train takes some fifty bytes of each
MOST = 10**7         # strings at once
SMOOTHINGS = {"add": None, "witten_bell": witten_bell, "kneser_ney": kneser_ney}
PROGRAMS = "palindrome", "judge"
TABLES = "easy_to_say", "alternating", "ends_in_vowel", "no_doubles", "short"
MODEL, ITEMS = "an .npz file of 'train' or 'align'", "UTF-8, one item per line"
FIRST = 16           # strings drawn at once at first, and then twice as many each time


def _parser():
    """A subcommand for each `run_…`, which its docstring describes."""
    parser = argparse.ArgumentParser(
        "toy_lm", allow_abbrev=False, description="Character-level language models of your own "
        "text, by counting.  '-' stands for standard input or output.")
    parser.add_argument("--version", action="version", version=f"toy_lm {__version__}")
    jobs = parser.add_subparsers(metavar="train | score | sample | pairs | align", required=True)

    def job(run, *, model=MODEL, file=None, out=None):
        name, text = run.__name__.removeprefix("run_"), run.__doc__
        added = jobs.add_parser(name, allow_abbrev=False, help=text.split(":")[0], description=text)
        added.set_defaults(run=run)
        for name, text in (("model", model), ("file", file)):
            if text is not None:
                added.add_argument(name, type=file_name, metavar=name.upper(), help=text)
        if out is not None:
            added.add_argument("--out", type=file_name, required=True, metavar="FILE", help=out)
        return added

    def add_decoding(job):
        job.add_argument("--temperature", type=number(1e-3, 1e3), default=1.0, metavar="T",
                         help="below 1 likely letters become likelier (1)")
        job.add_argument("--top-k", type=integer(1), metavar="K",
                         help="only the K likeliest letters of each state")
        job.add_argument("--top-p", type=number(0, 1), default=1.0, metavar="P",
                         help="of these only the likeliest, that together have probability P (1)")

    add = job(run_train, model=None, file=f"{ITEMS}; blank lines and space around an item are "
              f"dropped", out="where to write the model").add_argument
    add("--order", type=integer(1), default=2, help="characters seen at once, with the next (2)")
    add("--smoothing", choices=SMOOTHINGS, default="add",
        help="of what never occurred: add a pseudo-count (add), or ask a shorter memory, which "
             "makes orders above 2 pay, with kneser_ney most")
    add("--pseudo-count", type=number(0, 1e9), metavar="A",
        help="of every entry, for --smoothing add (0.1); with 0 what never occurred is impossible")
    add("--heldout", type=number(0, 0.9), default=0.1, metavar="FRACTION",
        help="of the items, spread evenly, kept from training and scored (0.1); their letters are "
             "known to the model")
    add("--also", type=file_name, metavar="FILE",
        help="JSON lines of preferences, the letters of which the model shall know too")

    scored = job(run_score, file=f"{ITEMS}, as 'sample' writes; an empty line is the empty string")
    add_decoding(scored)
    scored.add_argument("--skip", action="store_true", help="leave out items with letters that the "
                        "model does not know; standard error tells how many")

    sampled = job(run_sample)
    add = sampled.add_argument
    add("-n", type=integer(1, MOST), default=10, metavar="N",
        help="strings (10); more of them begin with the same ones")
    add("--prompt", type=utf8, default="", help="their first letters")
    add_decoding(sampled)
    add("--horizon", type=integer(1), default=HORIZON, metavar="STEPS",
        help=f"where strings that do not end are cut ({HORIZON}); standard error tells how many")
    add("--seed", type=integer(0), default=0, help="of everything random (0)")

    pairs = job(run_pairs, out="where to write the data")
    add = pairs.add_argument
    add("--pairs", type=integer(1, MOST), default=1000, metavar="N",
        help="asked of each prompt (1000); rankings, with --form ranking")
    prompts = pairs.add_mutually_exclusive_group()
    prompts.add_argument("--prompt", type=utf8, default="", help="first letters (none)")
    prompts.add_argument("--prompts", type=file_name, metavar="FILE",
                         help='JSON lines {"prompt": …}')
    add("--reward", choices=[*TABLES, *PROGRAMS], default="easy_to_say",
        help="what the rater likes (easy_to_say); palindrome and judge, the model itself, are "
             "programs: they do not err unless told to, and what they score alike is left out")
    add("--temperatures", type=number(1e-3, 1e3), nargs="+", default=[1.0], metavar="T",
        help="of the responses to a prompt, in turn; to be given after the model (1)")
    add("--rater-temperature", type=number(1e-6, 1e6), metavar="T",
        help="the larger, the more often the worse response is preferred (1; of programs never)")
    add("--noise", type=number(0, 1), default=0.0, help="chance that an answer is turned round (0)")
    add("--ties", type=number(0, 1e6),
        help="how often the rater cannot decide, Davidson's parameter (0); not for rankings")
    add("--form", choices=["explicit", "implicit", "unpaired", "ranking"], default="explicit",
        help="of the records (explicit)")
    add("--responses", type=integer(2, 1000), metavar="K", help="in a ranking (4)")
    add("--seed", type=integer(0), default=0, help="of everything random (0)")

    add = job(run_align, file="JSON lines of 'pairs' or of your own: pairs, rankings, or for kto "
                              "labelled strings", out="where to write the result").add_argument
    add("--method", choices=METHODS, required=True,
        help="reward_model fits a reward and takes its optimum; the others fit the model itself")
    add("--beta", type=number(1e-6, 1e6), metavar="B", help="the beta of the method: " + ", ".join(
        f"{name} {method.beta:g}" for name, method in METHODS.items()))
    add("--simpo-gamma", type=number(0, 1e6), metavar="G", help="the lead that simpo asks for (1)")
    add("--pull", type=number(0, 1e9), default=PULL, metavar="P",
        help=f"how strongly few preferences are held back ({PULL:g})")
    return parser


def run_train(arguments):
    """Fit a model to a text file: count it, and print how well the model fits."""
    if arguments.smoothing != "add" and arguments.pseudo_count is not None:
        raise ValueError("--pseudo-count is for --smoothing add")
    _check_files(arguments, arguments.file, arguments.also)
    items = corpora.read_lines(arguments.file)
    also = [] if arguments.also is None else [
        jsonl.text_of(record) for record in jsonl.read_preferences(arguments.also).records]
    try:
        vocabulary = from_items([*items, *also])
    except ValueError as error:
        raise ValueError(f"{files.shown(arguments.file)}: {error}") from None
    if vocabulary.size**min(arguments.order, 25) > LARGEST:  # the least power of 2 is enough
        raise ValueError(f"--order {arguments.order} is too much for {vocabulary.size} symbols: "
                         f"the table would have {vocabulary.size}^{arguments.order} entries, and "
                         f"at most {LARGEST:,} are allowed")
    training, held = corpora.held_out(items, arguments.heldout)
    given = {} if arguments.pseudo_count is None else {"pseudo_count": arguments.pseudo_count}
    model = models.fit(training, order=arguments.order, vocabulary=vocabulary,
                       smoothing=SMOOTHINGS[arguments.smoothing], **given)
    models.save(arguments.out, model)
    lines = [f"items: {len(items)}, {len(held)} of them held out",
             f"symbols: {vocabulary.size}, the end included"]
    for name, some in (("training", training), ("held out", held)):
        if some:
            nats = nats_per_character(model.logits, vocabulary.encode(some, order=arguments.order))
            with np.errstate(over="ignore"):
                perplexity = np.exp(nats)
            lines.append(f"{name}: {nats:.6f} nats per character (perplexity {perplexity:.6g})")
    (note if arguments.out == STANDARD else print)("\n".join(lines))


def run_score(arguments):
    """Score the items of a text file: print the log-probability of each, in nats, and on the last
    line the nats per character."""
    _check_files(arguments, arguments.model, arguments.file)
    model = models.load(arguments.model)
    letters = model.vocabulary.letters
    items = corpora.read_strings(arguments.file, letters)
    known = [item for item in items if not {*item} - {*letters}]
    if not arguments.skip:
        for number, item in enumerate(items, start=1):
            corpora.check_letters(arguments.file, number, item, letters)
    if not known:
        raise ValueError(f"{files.shown(arguments.file)} holds no item" + (
            " of the letters that the model knows" if items else ": one item per line is expected"))
    logits, steps = _decoded(arguments, model), model.encode(known)
    for item, logp in zip(known, score(logits, steps)):
        print(f"{logp:.6f}\t{item}")
    print(f"nats per character: {nats_per_character(logits, steps):.6f}")
    if arguments.skip:
        note(f"toy_lm: {len(items) - len(known)} of {counted(len(items), 'item')} left out, "
             f"because the model does not know a letter of theirs")


def run_sample(arguments):
    """Let the model write: print strings, one per line."""
    model = models.load(arguments.model)
    logits, rng, parts, drawn = _decoded(arguments, model), generator(arguments.seed), [], 0
    while drawn < arguments.n:  # in parts that do not depend on n, so that the first are the same
        parts.append(sample(logits, min(drawn + FIRST, AT_ONCE), rng=rng,
                            horizon=arguments.horizon, prompt=model.state(arguments.prompt)))
        drawn += len(parts[-1].starts) - 1
    steps = counts.select(counts.join(parts), np.arange(arguments.n))
    whole = finished(steps)
    for string, has_end in zip(model.vocabulary.decode(steps), whole):
        print(arguments.prompt + (string if has_end else string.removesuffix("…")))
    if not whole.all():
        note(f"toy_lm: {(~whole).sum()} of {counted(arguments.n, 'string')} were cut at "
             f"{counted(arguments.horizon, 'step')}")


def run_pairs(arguments):
    """Make preference data: let the model respond to prompts and a simulated rater choose, and
    write the result as JSON lines, in the forms of TRL.  Standard error tells what was left out,
    and whether a reward can be fitted to the rest without a pull."""
    K = (arguments.responses or 4) if arguments.form == "ranking" else 2
    if arguments.form == "ranking" and arguments.ties is not None:
        raise ValueError("--ties is for pairs: a ranking has none")
    if arguments.form != "ranking" and arguments.responses is not None:
        raise ValueError("--responses is for rankings: give --form ranking too")
    if arguments.form == "ranking" and arguments.reward == "palindrome" and K > 2:
        raise ValueError(f"--reward palindrome says yes or no, and cannot rank {K} responses: give "
                         f"--responses 2 or another --form")
    _check_files(arguments, arguments.model, arguments.prompts)
    model = models.load(arguments.model)
    prompts, states = _prompts(arguments, model)
    rng = np.random.default_rng(arguments.seed)
    steps = respond(model.logits, K, rng=rng, prompts=np.repeat(states, arguments.pairs),
                    temperatures=arguments.temperatures)
    whole = whole_groups(steps, K)
    prompts = np.repeat(np.array(prompts, object), arguments.pairs)[whole]
    responses = np.array(model.vocabulary.decode(steps), object).reshape(-1, K)[whole]
    if not whole.all():
        note(f"toy_lm: {(~whole).sum()} left out, because a response had no end after {HORIZON} "
             f"steps")
    texts = [prompt + response for prompt, row in zip(prompts, responses) for response in row]
    scores = np.reshape(_reward(arguments.reward, model)(texts), (-1, K))
    program = arguments.reward in PROGRAMS
    rater = {"rng": rng, "noise": arguments.noise, "temperature": arguments.rater_temperature or (
        raters.SURE if program else 1.0)}
    if arguments.form == "ranking":
        clear = ~raters.undecided(scores) | (not program)
        ranked = np.take_along_axis(responses, raters.rank(scores, **rater), axis=1)[clear]
        jsonl.write(arguments.out, list(map(jsonl.Ranking, prompts[clear], map(tuple, ranked))))
        ties = f"; {counted(sum(~clear), 'tie')} left out" if program else ""
        note(f"toy_lm: {counted(len(ranked), 'ranking')}{ties}")
    else:
        rate = raters.compare if program else raters.choose
        answers = rate(scores, **rater, ties=arguments.ties or 0.0)
        _write_pairs(arguments, model, prompts, responses, answers)


def run_align(arguments):
    """Fit a model to preferences: print what it makes of them before and after, and the exact KL of
    its strings to the model as it was."""
    given = {} if arguments.simpo_gamma is None else {"simpo_gamma": arguments.simpo_gamma}
    if given and arguments.method != "simpo":
        raise ValueError("--simpo-gamma is for --method simpo")
    _check_files(arguments, arguments.model, arguments.file)
    model = models.load(arguments.model)
    if not np.isfinite(model.logits).all():
        raise ValueError(f"{files.shown(arguments.model)} holds a model to which some strings are "
                         f"impossible: train it with a --pseudo-count above 0")
    data = load_preferences(arguments.file, model)
    if isinstance(data, tuple) and arguments.method != "kto":
        raise ValueError(f"{files.shown(arguments.file)} holds labelled strings, and they are for "
                         f"--method kto")
    method = METHODS[arguments.method]
    beta = method.beta if arguments.beta is None else arguments.beta
    try:
        before = watched(model.logits, model.logits, data, beta=beta)
        fit = method.fit(model.logits, data, beta=beta, pull=arguments.pull, **given)
        after = watched(fit.x, model.logits, data, beta=beta)
    except NoEnd:
        raise ValueError("strings would not end: a larger --pull holds the model back") from None
    models.save(arguments.out, model._replace(logits=fit.x))
    lines = [f"{counted(len(data), 'pair')}, {data.identical} of them of two equal responses"
             if isinstance(data, Pairs) else
             f"{counted(len(data[0].starts) - 1, 'string')} liked, {len(data[1].starts) - 1} not",
             f"{'':24}{'before':>12}{'after':>12}"]
    lines += [f"{name:24}{before[name]:12.6f}{after[name]:12.6f}" for name in before]
    if arguments.method == "reward_model":
        lines.append(f"reward model: {fit.loss:.6f} nats per pair (log 2 without one), of which it "
                     f"ranks {after['rewards/accuracies']:.1%} rightly")
        lines += certainty(model.vocabulary, fit.rewards, data, pull=arguments.pull)
    if not fit.converged:
        lines.append("the fit stopped before it converged")
    (note if arguments.out == STANDARD else print)("\n".join(lines))


def _decoded(arguments, model):
    """The table that the arguments ask for."""
    return decoding(model.logits, temperature=arguments.temperature, top_k=arguments.top_k,
                    top_p=arguments.top_p)


def _prompts(arguments, model):
    """The prompts that the arguments ask for, and the states that they leave behind."""
    if arguments.prompts is None:
        return [arguments.prompt], [model.state(arguments.prompt)]
    prompts, lines = jsonl.read_prompts(arguments.prompts)
    if not prompts:
        raise ValueError(f"{files.shown(arguments.prompts)} holds no prompt")
    for prompt, line in zip(prompts, lines):
        corpora.check_letters(arguments.prompts, line, prompt, model.vocabulary.letters)
    return prompts, [model.state(prompt) for prompt in prompts]


def _write_pairs(arguments, model, prompts, responses, answers):
    pairs = [jsonl.Pair(prompt, *(row if answer == raters.FIRST else row[::-1]))
             for prompt, row, answer in zip(prompts, responses, answers) if answer != raters.TIE]
    write = jsonl.write_implicit if arguments.form == "implicit" else jsonl.write
    write(arguments.out, unpaired(pairs) if arguments.form == "unpaired" else pairs)
    identical = sum(pair.chosen == pair.rejected for pair in pairs)
    note(f"toy_lm: {counted(len(pairs), 'pair')}, {identical} of them of two equal responses; "
         f"{counted(len(answers) - len(pairs), 'tie')} left out")
    if pairs:
        found = existence(from_text(model.vocabulary, pairs, order=model.order).difference)
        names = step_names(model.vocabulary, model.logits.shape)
        note(f"toy_lm: for a reward model, {verdict(found, names)}")


def _check_files(arguments, *read):
    """Refuse, before the work starts, files that cannot be read and written side by side."""
    if read.count(STANDARD) > 1:
        raise ValueError("only one file can be standard input")
    out = getattr(arguments, "out", STANDARD)
    files.check_writable(out)
    files.check_apart(out, *read)


def _reward(name, model):
    """`reward(texts) -> (n,)` for each choice of --reward."""
    if name == "palindrome":
        return lambda texts: [float(verifiers.is_palindrome(text)) for text in texts]
    if name == "judge":
        return lambda texts: raters.judgement(model.logits, model.encode(texts))
    return rewards.of_strings(model.vocabulary, getattr(rewards, name)(model.vocabulary))


def main(argv=None):
    """Run the command line and return its exit status, which is that of argparse too."""
    argv = sys.argv[1:] if argv is None else list(argv)

    def work():
        parser = _parser()
        check_command(parser, *argv[:1] or ["-"], ["train", "score", "sample", "pairs", "align"])
        arguments = parser.parse_args(argv)
        with standard_output(encoding="utf-8"):  # as the files, whatever the terminal
            arguments.run(arguments)

    return finish("toy_lm", work)


if __name__ == "__main__":
    leave(main)
