"""The laboratory: experiments on the chapters, which no chapter imports.

In reading order:

    main_job  every first learner on both worlds, judged by the exact optimum
    report    what the main job prints, and writes as JSON
"""
