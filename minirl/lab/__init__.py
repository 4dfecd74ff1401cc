"""The laboratory: experiments on the chapters, which no chapter imports.

In reading order:

    main_job     every first learner on both worlds, judged by the exact optimum
    values       a world solved exactly, and four learners on their way to Q*
    policies     four learners of policies on their way to J*
    estimators   the exact bias and variance of every estimator of the policy gradient
    alignment    every method on one language, on the frontier, and over-optimisation
    objectives   what each method puts into one gradient, and where it comes to rest
    divergences  what every estimate of a KL is worth, and where its gradient leads
    figures      the figures of the experiments, as PNG files
    report       what the experiments print, and write as JSON
"""
