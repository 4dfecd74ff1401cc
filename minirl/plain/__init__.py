"""Every algorithm on one screen: what the papers print, with loops over steps and strings.

Each file stands for itself: it imports NumPy at most, says where its names are not those of its
paper, and holds a world small enough to run it in a second or two, as in `python -m
minirl.plain.ppo`.  The chapters of the book do the same work, faster, and are tested to give the
same numbers.

    episode          the loop of agent and world
    value_iteration  the best policy of a world whose law is known
    q_learning       Q-learning, SARSA, expected SARSA and double Q-learning
    reinforce        the policy gradient by sampling, with a baseline
    actor_critic     the policy gradient with a critic, and generalised advantage estimation
    ppo              several steps from one batch, and no gain from going too far
    language_model   a bigram model: count, score, sample
    reward_model     a reward from preferences
    best_of_n        sample n strings, keep the best
    rlhf             PPO on a reward minus the price of leaving a reference
    grpo             PPO in which the group is the baseline
    dpo              preferences without a reward model
"""

import signal
import sys

from minirl.start import by_signal

if any(word.startswith("minirl.plain.") for word in sys.orig_argv):  # as one of these programs
    by_signal()
    # Its reader, such as head, may have seen enough.
    if hasattr(signal, "SIGPIPE"):  # pragma: no branch - always but on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
