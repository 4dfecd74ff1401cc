"""The laboratory: experiments on the chapters, which no chapter imports.

In reading order:

    main_job  every first learner on both worlds, judged by the exact optimum
    values    a world solved exactly, and four learners on their way to Q*
    figures   the figures of the experiments, as PNG files
    report    what the experiments print, and write as JSON
"""
