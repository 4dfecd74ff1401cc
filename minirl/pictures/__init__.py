"""The pictures of the book: each from a seed, by a function whose numbers are tested.

    on_worlds   one table in two worlds, two ways along a cliff, planning and learning in rounds
    on_play     the backward pass, and Part 3: what a batch says, what a baseline buys
    on_people   Part 4: what a nat of KL buys, who rests where, what a learned reward promises
    on_beyond   Part 5: bounds, attempts, searches, laws of scale, collecting, a hidden layer

and what they need, beside `minirl.lab.style`, the one look of every figure:

    gallery     all pictures in reading order
    command     the command `minirl figures`
"""
