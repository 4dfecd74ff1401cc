"""Every letter of the equations: what it means, its name in code, and the chapter it comes from.

A letter has one meaning within a part.  Most have one in the whole book, and stand first.  An index
says of what: R_t is the return from time t on, π_old the policy that played a batch.  A star means
the best, as in π*, V*, Q*, J*; a hat an estimate; a bar a mean per step, as in r̄ and (of log π)
π̄; a tilde that the price is taken off, as in r̃; ⟨ , ⟩ the sum of products; and ∇ the derivatives
in all logits.  Words in equations, such as start(s), are names in the code.

Everywhere
    s       the state                                                   state       introduction
    a       the action                                                  action      introduction
    π       the policy, a table of probabilities π(a|s)                 policy      introduction
    r       the reward of a step; r(s, a) its mean; r̄ per step          reward      introduction
    R       the return: what an episode earns, discounted               returns     introduction
    γ       the discount of a step                                      gamma       introduction
    t       the time: the number of steps since the episode began       time        introduction
    J       the objective: the mean return, less the price of a distance objective   introduction
    y       a string                                                    string      introduction
    β       the price of a nat                                          beta        introduction
    e       2.718…                                                      np.exp      introduction
    θ       the logits                                                  logits      softmax
    b       another action, over which a sum or a maximum runs          -           softmax
    L       the loss, to be made small                                  loss        softmax
    G       ∂L/∂log π, and nothing else                                 G           softmax
    H       the entropy of a row of the policy                          entropy     softmax
    μ       another policy                                              other_logp  softmax
    σ       the logistic function                                       log_sigmoid softmax
    N       the number of steps that are counted; N[s] of those in s    number      counts
    n       the number of one step in a batch                           -           counts
    w       the weight of what is summed                                weights     counts
    W       the weights of all steps of an entry, summed                weights     counts
    i       a whole number that counts, as j and k do                   -           counts
    j       another                                                     -           return_law
    k       and a third                                                 -           mdp
    E       the mean over episodes, an expectation                      -           mdp
    P       the chance of going on, P(s'|s, a); under a policy P_π      transitions mdp
    V       the value of a state                                        values      evaluation
    Q       the value of an action                                      action_values evaluation
    A       the advantage of an action                                  advantages  evaluation
    η       the visits: the discounted times that a state is visited    visits      evaluation

Part 1
    x       any number                                                  x           softmax
    f       any function                                                -           counts
    X       the counts of each sequence's steps, a row per sequence     matrix      counts
    D       the difference of two such matrices, X⁺ − X⁻                difference  counts
    M       the shares of each sequence's steps, X over its length      means       counts
    K       the number of outcomes                                      -           sampling
    c       a cell of the alias method                                  -           sampling
    u       a uniform random number between 0 and 1                     u           sampling
    h       a small step                                                h           gradcheck

Part 2
    x       the unknown of a linear equation                            x           solving
    M       its matrix, with entries ≥ 0                                matrix      solving
    c       its right side                                              right       solving
    z       the zero from which values are counted                      zero        gains
    T       a number of steps after which an episode is cut             horizon     planning
    h       the differential value of a state                           values      average_reward
    d       the share of time that is spent in a state                  visits      average_reward
    p       the law of an episode's reward: the chance of each level    prob        return_law
    m       such a chance times the mean of another sum                 -           return_law
    I       the identity matrix                                         np.eye      return_law

Part 3
    α       the learning rate                                           learning_rate optim
    g       a gradient                                                  grad        optim
    m, v    Adam's running means of g and of its square                 mean, square optim
    ν       how much of them an update keeps                            beta1, beta2 optim
    δ       the temporal-difference error                               td_errors   returns
    λ       the second discount, of GAE                                 gae_lambda  returns
    x       the numbers that a recursion sums                           x           returns
    τ       a temperature                                               temperature exploration
    C       the credit of a step: what it is judged by                  credits     reinforce
    B       the number of episodes in a batch                           episodes    reinforce
    c       a constant baseline                                         constant    baselines
    z       the score of an episode, Σ w ∇log π                         scores      baselines
    ρ       the ratio π(a|s)/π_old(a|s)                                 ratio       surrogate
    ε       the clip range                                              clip_range  ppo

Part 4
    B       the number of strings, or of pairs, in a data set or batch  episodes    reward_model
    K       the number of strings in a group, of one prompt             n, num_generations best_of_n
    X       the counts of each string's steps, a row per string         counts      kto
    D       the difference of two such matrices, X⁺ − X⁻                difference  reward_model
    M       the shares of each string's steps, X over its length        means       simpo
    m       the margin: by how much the chosen string leads             margins     reward_model
    h       the log-ratio, log π − log π_ref, of a step or a string     ratios      dpo
    u       its opposite, log π_ref − log π, in estimates of the KL     u           kl
    z       the reference point of KTO, z₀, in nats                     z0          kto
    Z       the sum by which probabilities are divided                  log_partition regularised
    p       the chance of a level of the reward                         prob        best_of_n
    F       the chance of this level or a lower one                     -           best_of_n
    q       the chance that the best of K strings is of the level       prob        best_of_n
    α       a pseudo-count                                              pseudo_count sft
    λ       the weight of the odds in ORPO                              beta        orpo
    τ       the price of a nat where the reward is the chance to win    beta        ipo
    T       the teacher, a policy that a student learns from            teacher_logits distillation
    ρ       the ratio π/π_old of a step or a string                     ratio       kl
    ε       the clip range                                              epsilon     grpo
    c       the coefficient: what a method says of a step               coefficients unified
    g       the direction in which a method goes                        gradient    unified
    x       the table that is fitted                                    x           fitting
    f       any function: of a margin, or of a ratio                    -           fitting
    φ       what a pair costs, a function of h⁺ and h⁻                  phi         margins
    d       a direction in which a table may move                       direction   existence
    I       the identity matrix                                         np.eye      existence

Part 5
    f       the critic: how well an action fits a state                 critic      contrastive
    p       a chance; p(s, a) that of a step                            joint       contrastive
    K       the number of steps in a batch                              batch_size  contrastive
    I       the mutual information, in nats                             -           contrastive
    χ       χ² says how far p(s, a) is from p(s) p(a)                   chi_square  contrastive
    z       the variable of an integral                                 -           contrastive
    d       the rank of an encoder: how many numbers a state gets       -           contrastive
    τ       a temperature                                               temperature contrastive
    ε       the chance of a wrong step                                  -           cascade
    c       the exploration of a tree search, in the unit of returns    exploration tree_search
    X, x    the features, a row x per line or per state                 rows        harvest
    h       the activities of the hidden units, a row for each state    h           network

*Shapes* are tuples of code, as in (S, A), and their letters are counted apart: S states, A actions,
K outcomes of an action, N steps, B episodes or strings or pairs, R independent runs.
"""
