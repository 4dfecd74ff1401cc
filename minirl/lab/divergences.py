"""What every estimate of a KL divergence is worth, and where its gradient leads: exactly.

The language is so small that all its strings can be listed: two letters, and strings that are cut
after six steps.  The reference, the policy and a third one, μ, that may have written the samples,
are three different bigrams.  For each estimate (kl.4) the mean, the variance and the mean
gradient are sums over the list.

*Form*: `row`, a single step from the start; `string`, the log-ratio of the whole string; `tokens`,
the estimates of its steps added up.  *Samples*: `own`, from π; `other`, from μ, as they are;
`weighted`, from μ and multiplied by the ratio π/μ, of the row, the string or the token, which
is differentiated too, (kl.7).

The gradient of an estimate *follows* a divergence if it is equal to that divergence's gradient.
"""

from collections import namedtuple

import numpy as np

from minirl.kernel import counts
from minirl.kernel.softmax import backward, kl, log_softmax
from minirl.lab.job import Job
from minirl.lab.listing import all_episodes
from minirl.lab.table import in_columns, page
from minirl.people.kl import k1, k2, k3, kl_loss
from toy_lm.ngram import language

LONGEST = 6  # steps of a string
ESTIMATES = {"k1": (k1, lambda u: 1.0 + 0 * u), "k2": (k2, lambda u: -u),
             "k3": (k3, lambda u: -np.expm1(u))}  # with their derivatives in log π
ESTIMATE_FORMS = "row", "string", "tokens"
SAMPLES = "own", "other", "weighted"


# One estimate of KL(π‖π_ref): its moments, the length of its mean gradient, the cosine of that with
# ∇KL(π‖π_ref) of the form, None where it is zero, and what it is the gradient of.
Estimate = namedtuple("Estimate", "form samples name mean variance gradient cosine follows")


# What the job finds: how many strings were listed; KL(π‖π_ref) of the first row and of strings,
# which the estimates should find; and a list of Estimate.
Divergences = namedtuple("Divergences", "strings row_kl string_kl estimates")


def measure_divergences() -> Divergences:
    """All estimates, in every form and from all samples: `Divergences`."""
    logp, ref, other = three_bigrams()
    row, string = (_listing(logp, ref, other, horizon) for horizon in (1, LONGEST))
    estimates = [_estimate(row if form == "row" else string, form, samples, name)
                 for form in ESTIMATE_FORMS for samples in SAMPLES for name in ESTIMATES]
    return Divergences(string.chance.size, float(kl(logp, ref)[0]),
                       float(string.chance @ string.batch.totals(string.ratio)), estimates)


def three_bigrams():
    """(log π, log π_ref, log μ): three bigrams of two letters, each (3, 3)."""
    rng = np.random.default_rng(0)
    ref = log_softmax(rng.normal(size=(3, 3)))
    policy = log_softmax(ref + rng.normal(size=(3, 3)))
    return policy, ref, log_softmax(policy + 0.7 * rng.normal(size=(3, 3)))


# Every string of at most T steps, M of them with N steps: a `playing.Rollout`; the probabilities of
# the strings under π and under μ, (M,); log(π/π_ref) and log(π/μ) of each step, (N,); Σ w ∇log π as
# a function of the weights w of steps, (N,); and the gradients of divergences by name.
_Listing = namedtuple("_Listing", "batch chance by_other ratio away gradient targets")


def _listing(logp, ref, other, horizon):
    batch, chance = all_episodes(language(np.zeros(logp.shape)), np.exp(logp), horizon)
    steps = batch.steps(logp.shape)
    ratio, away = (x[batch.states, batch.actions] for x in (logp - ref, logp - other))
    by_ref, by_other = (chance * np.exp(-batch.totals(x)) for x in (ratio, away))

    def gradient(weights):
        return backward(logp, counts.table(steps, weights))

    targets = {"KL(pi|ref)": gradient(batch.spread(chance * batch.totals(ratio))),
               "KL(ref|pi)": gradient(-batch.spread(by_ref))}
    if horizon > 1:
        for whose, chances in (("", chance), ("mu's ", by_other)):
            visits = counts.table(steps, batch.spread(chances)).sum(axis=1)
            targets[f"{whose}rows of KL(pi|ref)"] = kl_loss(logp, ref, visits)[1]
            targets[f"{whose}rows of KL(ref|pi)"] = backward(logp, -visits[:, None] * np.exp(ref))
    return _Listing(batch, chance, by_other, ratio, away, gradient, targets)


def _estimate(listing, form, samples, name):
    value, slope = ESTIMATES[name]
    chance = listing.chance if samples == "own" else listing.by_other
    ratio, away, batch = listing.ratio, listing.away, listing.batch
    if form != "tokens":
        ratio, away = batch.totals(ratio), batch.totals(away)
    weight = np.exp(away) if samples == "weighted" else 1.0
    estimate, slopes = weight * value(-ratio), weight * slope(-ratio)
    if samples == "weighted":
        slopes = slopes + estimate  # the derivative of π/μ in log π is π/μ
    if form == "tokens":
        estimate, slopes = batch.totals(estimate), slopes * batch.spread(chance)
    else:
        slopes = batch.spread(slopes * chance)
    gradient, mean = listing.gradient(slopes), chance @ estimate
    length, true = np.linalg.norm(gradient), listing.targets["KL(pi|ref)"]
    follows, cosine = "nothing", None
    if length >= 1e-12:
        follows = next((name for name, target in listing.targets.items()
                        if np.abs(gradient - target).max() < 1e-12), "none of these")
        cosine = float((gradient * true).sum() / length / np.linalg.norm(true))
    return Estimate(form, samples, name, float(mean), float(chance @ (estimate - mean)**2),
                    float(length), cosine, follows)


# What is printed.


def divergences_text(found):
    """The table of the job."""
    return page(
        f"Estimates of KL(pi|ref) for a language of two letters: exact, from all {found.strings} "
        f"strings, which are cut after {LONGEST} steps.  It is {found.row_kl:.4f} for the first "
        f"row and {found.string_kl:.4f} for strings.",
        in_columns("form, samples, , mean, variance, gradient, cosine, follows", found.estimates,
                   (0, 0, 0, 4, 4, 4, 3, 0)),
        "Samples are the policy's own; another's (mu), as they are; or another's, weighted by the "
        "ratio of the policy to it.  Gradient is the length of the mean gradient of the estimate, "
        "cosine compares it with the gradient of KL(pi|ref), and 'follows' names the divergence "
        "whose gradient it is.  Rows are the divergences of the rows of the table, added up over "
        "the visits as if these were given.")


DIVERGENCES = Job("kl", __doc__, lambda arguments, progress: measure_divergences(),
                  divergences_text,
                  draw=lambda figures, found: figures.divergences_figures(found))
