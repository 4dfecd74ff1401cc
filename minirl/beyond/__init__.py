"""Part 5, beyond the table: more attempts, search, more data, and a small network.

In reading order:

    contrastive   telling the true partner from others: InfoNCE, CLIP, and mutual information
    inference     more attempts: pass@k, majority votes, and what training does to them
    cascade       errors that add up, verified steps and strings, and emergence
    search        the likeliest string: greedy, by beams, and exactly
    tree_search   looking ahead by trying, and its regret by exact values
    scaling       laws of loss, data and parameters, and what they imply
    harvest       finding data in rounds, with a classifier and a person
    network       one hidden layer in the place of the table, by hand
"""

from minirl.beyond import (contrastive, inference, cascade, search, tree_search, scaling, harvest,
                           network)
