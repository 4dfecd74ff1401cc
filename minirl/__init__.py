"""Reinforcement learning and the alignment of language models, from scratch in NumPy.

The contents page.  Every chapter is a module: its docstring is the text, its functions are the
equations.  A part imports only parts above it, and a chapter of a part only chapters above it, so
the reading order is also the dependency order.  Each part lists what its chapters are about.

Part 1, the kernel
    kernel    softmax counts sampling mdp playing
Part 2, exact answers
    exact     evaluation planning average_reward regularised
Part 3, learning from play
    play      optim returns prediction exploration q_learning reinforce baselines actor_critic ppo
              ppo_kl
Part 4, learning from people
    people    sft best_of_n kl reward_model rlhf grpo dpo ipo kto simpo orpo unified

Beside the parts, `lab` holds the experiments, `files` and `console` what the command lines need to
read, write and print, and `__main__` the command line itself.  The worlds are in `gridworld` (to
draw) and `toy_lm` (to read); `minirl` itself knows neither grids nor text.
"""

from minirl import kernel, exact, play, people

__version__ = "0.1.0"
