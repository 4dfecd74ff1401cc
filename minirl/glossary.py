"""Every term, and the chapter that says what it is.

A chapter on the main way uses no term before the chapter that is named here.  A side road may use
the terms of its part.

Terms
    action                        introduction
    agent                         introduction
    bigram                        introduction
    coin game                     introduction
    discount                      introduction
    episode                       introduction
    KL divergence                 introduction
    log-probability               introduction
    nat                           introduction
    objective                     introduction
    perplexity                    introduction
    policy                        introduction
    reference                     introduction
    return                        introduction
    reward                        introduction
    running example               introduction
    state                         introduction
    step                          introduction
    string                        introduction
    tag                           introduction
    entropy                       softmax
    logistic function             softmax
    logit                         softmax
    loss                          softmax
    softmax                       softmax
    batch                         counts
    sparse matrix                 counts
    alias method                  sampling
    generator                     sampling
    law                           mdp
    Markov decision process       mdp
    outcome                       mdp
    start distribution            mdp
    tabular                       mdp
    horizon                       playing
    rollout                       playing
    terminated, termination       playing
    truncated, truncation         playing
    observation                   environment
    central difference            gradcheck
    complex step                  gradcheck
    certificate                   solving
    spectral radius               solving
    action value                  evaluation
    advantage                     evaluation
    Bellman's equation            evaluation
    sweep                         evaluation
    value of a state              evaluation
    visits                        evaluation
    doubt                         gains
    backward induction            planning
    greedy                        planning
    linear programme              planning
    modified policy iteration     planning
    policy gradient               planning
    policy iteration              planning
    value iteration               planning
    differential value            average_reward
    reward per step               average_reward
    level                         return_law
    gap                           scorecard
    referee                       scorecard
    share of the optimum          scorecard
    Adam                          optim
    gradient descent              optim
    learning rate                 optim
    schedule                      optim
    bootstrapping                 returns
    explained variance            returns
    GAE                           returns
    reward-to-go                  returns
    temporal-difference error     returns
    value table                   returns
    whole return                  returns
    λ-return                      returns
    record                        training
    trainer                       training
    Monte Carlo                   prediction
    TD(0)                         prediction
    Boltzmann                     exploration
    optimistic                    exploration
    temperature                   exploration
    ε-greedy                      exploration
    double Q-learning             q_learning
    expected SARSA                q_learning
    off-policy                    q_learning
    on-policy                     q_learning
    Q-learning                    q_learning
    SARSA                         q_learning
    baseline                      reinforce
    credit                        reinforce
    REINFORCE                     reinforce
    unbiased                      reinforce
    score of an episode           baselines
    A2C                           actor_critic
    actor-critic                  actor_critic
    critic                        actor_critic
    entropy bonus                 actor_critic
    importance sampling           surrogate
    surrogate                     surrogate
    clip fraction                 ppo
    clipped surrogate             ppo
    PPO                           ppo
"""
