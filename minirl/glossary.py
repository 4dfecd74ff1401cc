"""Every term, and the chapter that says what it is.

A chapter on the main way uses no term before the chapter that is named here.  A side road may use
the terms of its part.  The terms of the worlds stand at the end, with their modules
of `gridworld` and `toy_lm`.

Terms
    action                     what an agent chooses in a state: a move, a character  introduction
    agent                      the one that acts                                      introduction
    bigram                     a language model that looks one character back         introduction
    coin game                  one state: head pays 1 and goes on, tail ends          introduction
    discount                   γ: what a reward is worth that comes one step later    introduction
    episode                    the steps until a hole, a goal or an end symbol        introduction
    KL divergence              how far a policy is from another one, in nats          introduction
    log-probability            the logarithm of a probability; of a string, a sum     introduction
    nat                        the unit of natural logarithms                         introduction
    objective                  J: what a better policy has more of                    introduction
    perplexity                 e to the power of the nats spent per character         introduction
    policy                     how an agent acts: a table of probabilities π(a|s)     introduction
    reference                  π_ref: the policy that another should stay near        introduction
    return                     the rewards of an episode, discounted and summed       introduction
    reward                     what a step is paid                                    introduction
    running example            names that should be easy to say, near a bigram        introduction
    state                      where an agent is: a cell, the last character          introduction
    step                       a state and the action that was taken there            introduction
    string                     an episode of a language model                         introduction
    tag                        the name of an equation, as in (softmax.3)             introduction
    entropy                    how undecided a row of a policy is, in nats            softmax
    logistic function          σ(x) = 1/(1 + e^−x)                                    softmax
    logit                      θ[s, a]: a policy before the softmax                   softmax
    loss                       a number that learning is to make small                softmax
    softmax                    exponentials, divided by their sum                     softmax
    batch                      the steps from which a policy learns at one time       counts
    epoch                      a pass over a batch, in one piece or in minibatches    counts
    minibatch                  a part of a batch, for one step                        counts
    sparse matrix              a matrix of which only the entries ≠ 0 are kept        counts
    alias method               drawing an outcome by one cell and one coin            sampling
    generator                  where random numbers come from                         sampling
    law                        a world as a table of probabilities                    mdp
    Markov decision process    a world in which s and a decide what may come next     mdp
    outcome                    what an action may lead to                             mdp
    start distribution         where an episode begins, as probabilities              mdp
    tabular                    with numbered states and actions                       mdp
    horizon                    the number of steps after which an episode is cut      playing
    rectangle                  episodes side by side, time downwards                  playing
    rollout                    a batch of episodes that a policy has played           playing
    seed                       a number that fixes all random ones                    playing
    terminated, termination    an episode is over: nothing more can be earned         playing
    truncated, truncation      an episode was cut: it would have gone on              playing
    observation                what an environment shows of its state                 environment
    central difference         a slope from two values of a function                  gradcheck
    complex step               a slope from one value at a complex number             gradcheck
    certificate                what proves that an answer is one                      solving
    spectral radius            how fast the powers of a matrix grow                   solving
    action value               Q: the mean return after an action                     evaluation
    advantage                  A: how much better an action is than usual             evaluation
    Bellman's equation         a value is a reward and a discounted value             evaluation
    sweep                      one pass that puts a table into its own equation       evaluation
    value of a state           V: the mean return from a state on                     evaluation
    visits                     η: how often an episode is in a state, discounted      evaluation
    doubt                      how wrong rounding may have made an action value       gains
    backward induction         the best policy of a finite horizon, from its end      planning
    greedy                     taking an action of the largest value                  planning
    linear programme           a sum made as small as inequalities allow              planning
    modified policy iteration  greedy, then some sweeps, again and again              planning
    policy gradient            the gradient of J in the logits                        planning
    policy iteration           solve for the values, act greedily on them, again      planning
    value iteration            greedy sweeps until nothing changes                    planning
    differential value         how much more is earned from a state on than usual     average_reward
    reward per step            what is earned on average where nothing ends for good  average_reward
    level                      a value that an episode's reward can have              return_law
    gap                        J* − J                                                 scorecard
    referee                    a function from a policy to its score                  scorecard
    share of the optimum       the part of J* that has been reached                   scorecard
    Adam                       an optimiser whose steps do not depend on the scale    optim
    gradient descent           steps of a fixed multiple of the gradient              optim
    hyperparameter             a number that is chosen and not learned                optim
    learning rate              α: what a step is multiplied by                        optim
    schedule                   a hyperparameter that changes with progress            optim
    bootstrapping              V in the place of what has not been seen               returns
    explained variance         how much of the returns a value table foresaw          returns
    GAE                        temporal-difference errors, summed with γλ             returns
    reward-to-go               R_t: what a step and all later ones earn               returns
    temporal-difference error  δ: what came, less what V expected                     returns
    value table                a learner's estimate of V                              returns
    whole return               R_0, as a judgement of every step                      returns
    λ-return                   the mean of the returns that ask V after k steps       returns
    record                     all that the next iteration of a trainer needs         training
    trainer                    a generator of records                                 training
    bias                       by how much a target is wrong on average               prediction
    Monte Carlo                learning a mean from whole returns                     prediction
    TD(0)                      learning V from the next reward and the next V         prediction
    Boltzmann                  choosing actions in proportion to exp(Q/τ)             exploration
    optimistic                 starting from values above every possible one          exploration
    temperature                τ: how far a worse action is still taken               exploration
    ε-greedy                   greedy but for a share of random actions               exploration
    double Q-learning          two tables: one chooses, the other judges              q_learning
    expected SARSA             learning from the mean over what may be done next      q_learning
    off-policy                 learning about another policy than the one that plays  q_learning
    on-policy                  learning about the policy that plays                   q_learning
    Q-learning                 learning from the best of what may be done next        q_learning
    SARSA                      learning from what is done next                        q_learning
    baseline                   what is subtracted from a credit                       reinforce
    credit                     what a step is judged by                               reinforce
    REINFORCE                  the policy gradient from sampled returns               reinforce
    unbiased                   right on average                                       reinforce
    score of an episode        the gradient of its log-probability                    baselines
    A2C                        an actor-critic that plays many episodes at once       actor_critic
    actor-critic               a policy judged step by step by a value table          actor_critic
    critic                     that value table                                       actor_critic
    entropy bonus              a reward for staying undecided                         actor_critic
    importance sampling        weighting what one policy did by another's odds        surrogate
    surrogate                  what a batch says about a policy that did not play it  surrogate
    clip fraction              the share of steps whose gradient the clip has stopped  ppo
    clipped surrogate          a surrogate that pays nothing for going far            ppo
    PPO                        many small steps from one batch                        ppo
    curvature                  the second derivative of a loss                        fitting
    Newton's method            dividing the slope by the curvature                    fitting
    demonstration              a string that is to be imitated                        pairs
    label                      what is said of one string: liked, or not              pairs
    margin                     by how much the chosen string leads                    pairs
    preference                 a pair of strings of which one was preferred           pairs
    prompt                     the beginning of a string, by somebody else            pairs
    rater                      who writes an example, or says which string is better  pairs
    label smoothing            some weight for every target but the one given         sft
    maximum likelihood         making what was seen as likely as possible             sft
    pseudo-count               what is added to counts                                sft
    SFT                        supervised fine-tuning: imitating demonstrations       sft
    best of n                  writing many strings and keeping the best              best_of_n
    group                      strings of one prompt that judge each other            best_of_n
    rejection sampling         fine-tuning on the best of each group                  best_of_n
    frontier                   the most reward for each distance                      regularised
    soft policy iteration      policy iteration that tilts the reference              regularised
    Bradley-Terry              a string is preferred with the probability σ(m)        reward_model
    potential                  a number per state that changes no comparison          reward_model
    pull                       the price of large entries in a fitted table           reward_model
    ranking                    strings in order, the best first                       reward_model
    reward model               what gives a string a reward, learned from choices     reward_model
    Goodhart's law             a measure that is a target measures no longer          rlhf
    over-optimisation, reward hacking  a high learned reward with a low true one              rlhf
    PPO-ptx                    PPO with the loss of pretraining beside it             rlhf
    RLHF                       reinforcement learning from human feedback             rlhf
    verifier                   a program that judges strings                          rlhf
    GRPO                       PPO with a group in the place of the value table       groups
    RLOO                       each string judged by the mean of the others           groups
    DPO                        a policy fitted to preferences, no reward model        dpo
    implicit reward            β h(y): the reward that a policy stands for            dpo
    IPO                        DPO with squares: each pair gets a finite lead         ipo
    KTO                        a policy fitted to strings that were liked or not      kto
    SimPO                      preferences without a reference, per step              simpo
    odds                       a chance over the chance of the contrary               orpo
    ORPO                       imitation and preference in one loss                   orpo
    hinge                      a cost that falls with the margin, and at 1 is 0       margins
    gate                       what a surrogate makes of a ratio and a sign           ratios
    distillation               a student is trained to act as a teacher does          distillation
    forward KL                 KL(T‖π): of the teacher from the student               distillation
    reverse KL                 KL(π‖T): of the student from the teacher               distillation
    student                    a smaller policy, which learns                         distillation
    teacher                    a larger policy, which is asked for its rows           distillation
    CLIP                       images and captions, each to find the other            contrastive
    contrastive                learning to tell the right answer from others          contrastive
    dual encoder               a critic that is a product of two vectors              contrastive
    false negative             another step of a batch that has the same action       contrastive
    InfoNCE                    the log-chance of the partner among all of a batch     contrastive
    mutual information         I: how many nats a state tells about its action        contrastive
    negative sample            a draw from p(a), asked about by itself                contrastive
    partner                    the action that was drawn with a state                 contrastive
    PMI                        log p(a|s)/p(a): how much likelier a is in s, in nats  contrastive
    majority vote, maj@k       the answer given most often, and how likely it is right  inference
    pass@k                     the chance that one of k attempts is right             inference
    cascade of errors          each step may go wrong, and what is written stays      cascade
    emergence                  a skill that seems to appear all at once               cascade
    hallucination              saying with the same ease what is true and what is not cascade
    beam                       the likeliest prefixes of a length, of a number        search
    curse of the beam          a wider beam finds shorter strings                     search
    Viterbi's algorithm        the likeliest string by planning                       search
    node                       a state at a time, with what was earned after it       tree_search
    PUCT                       the mean and a term that follows a prior               tree_search
    regret                     V* less Q* of the action that was chosen               tree_search
    simulation                 one try of a tree search, from its root                tree_search
    tree search                looking ahead from one state by trying                 tree_search
    UCT                        the mean and a term that falls with visits             tree_search
    power law                  a quantity that falls like size^−power                 scaling
    scaling law                a formula for the held-out loss of a model of a size   scaling
    tokens per param           how much a model reads for each number that it learns  scaling
    classifier                 what says how likely a thing is to be right            harvest
    decontaminate              to leave out what a benchmark knows                    harvest
    feature                    a thing that a line or a state has or not              harvest
    Jaccard                    what two sets share, as a part of both together        harvest
    MinHash                    finding sets that share much, by random orders         harvest
    near duplicate             a line that shares most of its shingles with another   harvest
    recall                     share of the right that is found (precision: reverse)   harvest
    shingle                    a run of four characters                               harvest
    embedding                  a row of numbers for each symbol, learned              network
    hidden layer               what stands between features and logits, and bends     network
    hidden unit                a number of the hidden layer                           network
    LoRA                       moving a matrix by a product of two thin ones          network
    one-hot                    a 1 in a place of one's own, and zeros elsewhere       network

Worlds
    bump                       a move that an edge or a wall stops                   world
    map                        rows of cells, a character per cell                   world
    slip                       going another way than was meant                      world
    teleport                   a cell from which every move leads to another one     world
    wind                       what blows the walker upwards after its move          world
    heat map                   the values of all cells as colours                    figures
    learning curve             J of the policies that a trainer went through         figures
    completion                 the rest of a string, after its prompt                vocabulary
    corpus                     a list of strings                                     vocabulary
    order                      how many characters a model sees, the next included   vocabulary
    symbol                     a character, or the end of a string, as a number      vocabulary
    vocabulary                 the characters that occur in a corpus, sorted         vocabulary
    held out                   not counted, and kept to judge a model by             corpora
    nucleus                    the fewest likeliest actions that top-p keeps         ngram
    top-k                      writing with the k likeliest actions only             ngram
    top-p                      writing with those that have the probability p        ngram
    context                    the state of a longer memory: its last symbols        smoothing
    Kneser-Ney                 a discount from every count, for a shorter memory     smoothing
    Witten-Bell                a weight for the new: how many actions were seen      smoothing
    hierarchical               with the shorter memory's row as a pseudo-count        contexts
    n-gram                     a context and the action that followed                 contexts
    entropy rate               nats per character of what a model writes             exact
    like neighbours            two consonants or two vowels in a row                 rewards
    reward table               a number per step, summed over a string               rewards
    true reward                what a step or a string is worth to whoever knows     rewards
    palindrome                 a string that is the same backwards                   verifiers
    longest common prefix      what two strings have alike at their beginning        jsonl
    self-instruct              a pool of strings that its own model adds to          demonstrations
    list-wise                  judging by putting responses in order                 raters
    noise                      how often an answer is turned round                   raters
    pair-wise                  judging by saying which of two is better              raters
    point-wise                 judging by giving a score                             raters
    tie                        the answer of a rater who cannot decide               raters
"""
