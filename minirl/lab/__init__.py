"""The laboratory: experiments on the chapters, which no chapter imports.

In reading order, the jobs:

    demo             every first learner on both worlds, judged by the exact optimum
    values           a world solved exactly, and four learners on their way to Q*
    policies         four learners of policies on their way to J*
    estimators       the exact bias and variance of every estimator of the policy gradient
    alignment        every method on one language, on the frontier, and over-optimisation
    objectives       what each method puts into one gradient, and where it comes to rest
    divergences      the job `kl`: what every estimate of a KL is worth, and where it pulls
    contrasts        the job `contrastive`: what batches and encoders show of a mutual information
    attempts         the job `inference`: more attempts, checked steps, and emergence
    searches         the job `search`: likeliest strings and what beams miss, trees and their regret
    laws             the job `scaling`: laws of scale, published ones and those of the n-grams
    collecting       the job `harvest`: finding data in rounds, and what they are worth
    networks         the job `network`: words, grids and preferences, by hidden units

And what they share:

    running_example  a corpus, its reference, and a judge of other policies
    stale            what a batch says first, and what it says when it is stale
    listing          every episode that can happen in a small world
    summary          what many runs come to
    table            how results are set
    style            the one look of every figure, and the record of a picture of the book
    figures          the figures of the experiments, as PNG files
    job              an experiment as a command
    keeping          what a long job has done, in a file from which it goes on
"""
