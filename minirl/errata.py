"""What is often printed or shipped, and what is right.

The sentences in quotation marks are met in lecture notes, in slides, in answers of language models,
in papers and in the code of libraries.  Each of them is wrong, or leaves out a condition without
which it is wrong.  What is right follows, with the tag of the equation that says so, under the name
of its chapter.  Where the book has no chapter, a source is given.  What can be computed is computed
in `tests/test_errata.py`.

**planning**

1. "Assume that the distribution of states does not depend on θ."
   It does depend on θ, and nothing need be assumed.  The policy gradient theorem shows that its
   derivative drops out.  (planning.5)

2. "With Q(1, 1) = 5 and Q(1, 2) = 2 the policy is pushed towards action 2."
   Towards action 1.  Its advantage is 3 π(2|1), which is positive; that of action 2 is −3 π(1|1).
   (planning.5)

**returns**

3. "The recursion of GAE runs backwards over the batch."
   It stops at the end of each episode.  Otherwise the advantage of the next episode's first step
   leaks into the last step of this one.  (returns.3)

4. "A time limit ends the episode, so the value after it is zero."
   That is so after a termination only.  An episode that was cut would have gone on, and the value
   of the state in which it was cut stays in the error.  (returns.2)

5. "V is a table by states, so the last step of an episode is followed by V of its last state."
   After a termination nothing can be earned, and the value is zero whatever the table says of a
   goal.  (returns.2)

**exploration**

6. "ε-greedy exploration was introduced by Watkins in 1989."
   He may have been the first to use it, and the idea is so simple that an earlier use is likely.
   Source: Sutton and Barto, 2nd edition, bibliographical remarks to §2.2.

**q_learning**

7. "AlphaGo was trained by Q-learning."
   It had a policy, trained by imitation and then by the policy gradient, a network for values, and
   tree search.  Nothing in it is (q_learning.4).
   Source: Silver et al. 2016, "Mastering the game of Go with deep neural networks and tree search".

**reinforce**

8. "The usual update without the factor γᵗ is the gradient of the discounted return."
   It is at γ = 1.  At γ < 1 it is in general the gradient of nothing.  (reinforce.1)
   Source: Nota and Thomas 2020, arXiv:1906.07073.

**baselines**

9. "The best constant baseline is the mean return."
   For the whole return it is a mean in which an episode counts by the squared length of its score.
   That is the mean return only where the length and the return have nothing to do with each other.
   (baselines.2)

10. "The batch mean, as a baseline, is unbiased."
    It contains the episode's own credit, so that B episodes give (B − 1)/B of the gradient.
    (baselines.1)

11. "An advantage has a lower variance than the absolute value of an action."
    What is meant is the action value Q, not |Q|, and the claim is not always true.  Take one state,
    π = 0.9 and 0.1, and the rewards 1 and 0.  The variance of the estimate, summed over both
    logits, is 0.0018 with Q and 0.1152 with Q − V.  (baselines.2)

**actor_critic**

12. "REINFORCE with a learned value baseline is A2C."
    An actor-critic has a critic that stands for rewards which were not observed.  At λ = 1, where
    every episode ends, the two agree.  (actor_critic.1)

13. "Normalising the advantages is a matter of scale."
    The divisor depends on the luck of the batch that it divides, which is a bias.  The mean, where
    it is subtracted, contains each step's own advantage, which is another one.  (actor_critic.3)

**ppo**

14. "PPO stops an epoch at 1.5 times the target of the KL."
    Some libraries do; CleanRL has the factor 1, and the paper no such stop.  They compare an
    estimate from samples, (surrogate.3); a table has the KL itself, (surrogate.2).
    Source: Spinning Up and Stable-Baselines3, for the factor 1.5; Schulman et al. 2017,
    arXiv:1707.06347.

15. "The ratio is that of the policy to the reference."
    To π_old, which played this batch and changes with every batch.  PPO knows no reference.
    (ppo.1)

16. "Clipping keeps the ratio within 1 ± ε", "a limit on the KL therefore keeps it there."
    These are two devices, and neither does.  The clip takes away the gradient of an entry beyond
    the bound, on the side where it would gain; other entries of its row may carry it further.  A
    mean KL may be small while the ratio of a rare action is large.  (ppo.3)

17. "The clip fraction counts the ratios outside 1 ± ε."
    It counts the steps whose gradient is dead.  A bad action whose ratio is above 1 + ε is outside
    and is still being pulled back.  (ppo.3)

**ppo_kl**

18. "The ratio and the KL of PPO's penalty are both taken to π_ref."
    Both are taken to π_old, and the direction is KL(π_old‖π).  (ppo_kl.1)
    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 8.

**sft**

19. "The end symbol is padding, and is left out of the loss."
    It is an action like any other.  A model that was never trained on it never learns to stop.
    (sft.1)

20. "Alpaca was trained on answers of ChatGPT."
    On those of text-davinci-003.
    Source: Taori et al. 2023, "Stanford Alpaca: an instruction-following LLaMA model".

**best_of_n**

21. "The best of n answers: k = argmax r." "Bag of N."
    The index of the best one is k, and the answer is y_k.  Ties need a rule that does not look at
    the strings.  It is called the best of N, and is no bag.  (best_of_n.1)

22. "The KL of best of n is log n − (n − 1)/n, and it wins n/(n + 1) of the comparisons."
    Both are upper bounds.  They are reached only where no two draws earn the same.  (best_of_n.2)

**regularised**

23. "β is a trained parameter."
    It is the price that defines the problem.  A controller may steer it towards a wanted KL, and
    then solves another problem at each step.  (regularised.1)

**kl**

24. "KL(P‖Q) = Σ P (P − Q)."
    The logarithms are missing: Σ P (log P − log Q).  The other sum is 0 from a fair coin to any
    coin, −0.06 from (0.6, 0.4) to (0.9, 0.1), never above 1, and does not add up along a string.
    (kl.1)

25. "The KLs of the visited states, added up, have the gradient of the KL of strings."
    Their value may be right.  Their gradient freezes the visits, and so charges no choice for where
    it leads.  (kl.3)

26. "k3 is unbiased and varies little, so it is a good loss."
    An estimate is not a loss.  The mean gradient of k1 is zero, and that of k3 is the gradient of
    KL(π_ref‖π).  The biased k2 has the right one.  (kl.6)

27. "The KL in the log is the KL that is paid for."
    Some trainers log k3 and pay k1.  On a sample the two differ unless both are 0.  (kl.4)

**reward_model**

28. "A reward model returns a number between 0 and 1."
    Rewards are unbounded.  Between 0 and 1 lie the probabilities that are made from a difference
    of two.  (reward_model.1)

29. "A reward model cannot be trained by cross-entropy."
    The Bradley-Terry loss is a cross-entropy, on the difference of two rewards.  (reward_model.1)

30. "The reward model returns the average reward of winner and loser."
    It returns r(x, y) for each string, and no average is taken.  (reward_model.1)

**rlhf**

31. "Many steps, proxies and hyperparameters are shortcomings of the reward model."
    Of the pipeline: three fits one after the other, of which the reward model is one.  (rlhf.1)

32. "Reward hacking means that the policy moves too far and becomes unstable."
    It means a high proxy reward with a low true one.  Moving far is a way to it; instability is
    another matter.  (rlhf.2)
    Source: Gao et al. 2022, arXiv:2210.10760.

33. "InstructGPT maximises E[r] − β KL."
    Its equation 2 also has a term for the loss of pretraining (PPO-ptx).  (rlhf.5)
    Source: Ouyang et al. 2022, arXiv:2203.02155, eq. 2.

34. "The controller of Ziegler et al. multiplies β by at most 1 + 0.2 B/horizon."
    That is their code, for a batch of B strings.  The paper has a constant, K_β = 0.1, in the place
    of B/horizon.  (rlhf.3)
    Source: Ziegler et al. 2019, arXiv:1909.08593, §2.2.

35. "Llama 2 ran PPO five times."
    Its versions are V1 to V5.  Until V4 they were made by rejection sampling alone.
    Source: Touvron et al. 2023, arXiv:2307.09288, §3.2.3.

**groups**

36. "The 1/|o_i| of GRPO is the average size of the prompts."
    It is one over the length of the answer i, which makes a mean over its steps.  (groups.5)

37. "GRPO averages the advantage over the answers."
    Each answer has an advantage of its own; their average is always 0.  The mean of the rewards is
    the baseline, and their standard deviation divides.  (groups.1)

38. "The std of a group is the same in all libraries and in this book."
    TRL, OpenRLHF and verl divide the sum of squares by K − 1, this book by K.  For each group that
    is a factor of √((K − 1)/K) in the advantages, 0.935 at K = 8.  (groups.1)

**grpo**

39. "The KL of GRPO is that to the old policy."
    The ratio is to π_old, and k3 is to π_ref.  (grpo.1)

40. "The reference of GRPO never changes."
    Not within a run.  Algorithm 1 of DeepSeekMath sets it to the policy at each outer iteration,
    and a flag of TRL, `sync_ref_model`, moves it along.  (grpo.1)
    Source: Shao et al. 2024, arXiv:2402.03300.

41. "GRPO is a thinking model."
    It is an algorithm, by which such models have been trained.  (grpo.1)

42. "GRPO maximises E[r] − β KL."
    With k3 in the loss it maximises nothing that has a name, and comes to rest elsewhere.  With the
    KL in the reward its fixed point is that of RLHF.  (grpo.2)

43. "GRPO in TRL has k3 in the loss."
    In version 1.16 it has no KL unless `beta` is given, and then ρ times k3, both of them to be
    differentiated.  At ρ = 1 the mean gradient of that is the one of KL(π‖π_ref), row by row, and
    not that of k3.  (grpo.1)

**dpo**

44. "The loss of DPO is L = −E[log π − β (π − π_old)]."
    It has the form −log σ(margin), and the margin compares two strings: β times the log-ratio log π
    − log π_ref of the better one, less that of the other.  What is quoted looks like a step of
    reinforcement learning with a price, whose logarithms are missing.  (dpo.2)

45. "DPO samples from the policy and rates the samples with a reward model."
    Labelled pairs and π_ref are all that it needs.  (dpo.2)

46. "L = −log σ(β π(y⁺)/π_ref(y⁺) − β π(y⁻)/π_ref(y⁻))."
    The logarithms are missing, and σ encloses both terms.  Without them the rejected string cannot
    move the margin by more than β times its present ratio.  (dpo.2)

47. "DPO is derived from PPO."
    From the optimum of J, by whatever algorithm it would be found, and from Bradley-Terry.  (dpo.1)

48. "Label smoothing (cDPO) undoes labels that were flipped."
    It flips them a second time.  Robust DPO undoes flips.  With the margin m and the share `turned`
    that was flipped, its loss is [turned · log σ(−m) − (1 − turned) log σ(m)] / (1 − 2 · turned).
    (dpo.4)
    Source: Chowdhury et al. 2024, arXiv:2403.00409.

49. "The `label_smoothing` of TRL is that of cDPO."
    In version 1.16 it is the share of the loss "robust"; the loss "sigmoid" ignores it.  (dpo.4)

50. "The chosen string becomes less likely, so there is a bug."
    Only the difference is trained.  Both may fall, where their steps are shared.  (dpo.5)

51. "DPO compares the means of the log-ratios over the tokens."
    It compares sums.  DeepSeekMath prints means in its appendix.  (dpo.2)
    Source: Shao et al. 2024, arXiv:2402.03300, eq. 12.

**ipo**

52. "IPO sums the log-probabilities of a string, as its paper says."
    The formula has sums.  The results of the paper are those of means over the length, as its
    authors told the makers of TRL, which therefore divides.  (ipo.1)

**simpo**

53. "L = −log σ(β (m − γ)) with m the difference of the means."
    γ stands beside β, in units of reward: −log σ(β m − γ).  (simpo.1)

**orpo**

54. "The gradient of the loss of ORPO is δ(d) · h(d)."
    The sign is wrong.  The loss is −log σ(z), with z the log of the odds ratio, and its gradient is
    −σ(−z) ∇z.  The paper's δ(d) is σ(−z), and its h(d) is ∇z.  (orpo.2)
    Source: Hong et al. 2024, arXiv:2403.07691, eq. 8.

55. "The code of ORPO imitates the chosen answers."
    It takes the mean over all tokens, those of the prompt too.  (orpo.1)

**margins**

56. "The hinge on log-ratios is the loss of SLiC."
    It is RSO's.  SLiC compares log π(y⁺) and log π(y⁻) without a reference, and adds the likelihood
    of a good string.  (margins.1)
    Source: Liu et al. 2023, arXiv:2309.06657; Zhao et al. 2023, arXiv:2305.10425.

57. "The loss of BCO is −log σ(β (h⁺ − h⁻))."
    That is the loss of DPO.  BCO has a term for each of the two strings, and so it asks for h⁺ and
    for h⁻, and not for their difference only.  (margins.5)
    Source: Jung et al. 2024, arXiv:2404.04656.

58. "The α of an α-divergence is that of the library."
    That of TRL, in version 1.16, is 1 − α.  The two are the same at ½, its default.  (margins.6)
    Source: Wang et al. 2023, arXiv:2309.16240.

**ratios**

59. "CISPO can take over the ε_high of PPO."
    What is capped is the ratio, at 1 + ε_high in the paper.  In TRL, version 1.16, `epsilon_high`
    is itself the cap.  Its default is ε, so that each weight is ε at ρ = 1.  (ratios.2)
    Source: MiniMax 2025, arXiv:2506.13585.

60. "Ratios of whole strings make GRPO to GSPO, whatever the loss divides by."
    GSPO takes the mean over strings.  Divided by all steps of the batch, which is the default of
    TRL and of verl, a string counts |y| times.  (ratios.6)
    Source: Zheng et al. 2025, arXiv:2507.18071.

61. "The losses grpo, bnpo, dr_grpo and dapo are four surrogates."
    They are one with different divisors, and all are parallel if every string has the same length
    and every batch as many steps.  (ratios.6)

**distillation**

62. "k3 of student and teacher on the student's strings, differentiated, descends the reverse KL."
    Its mean gradient is that of the forward KL, row by row: G = −T.  (distillation.3)

63. "The β of the generalised Jensen-Shannon divergence leads from the forward to the reverse KL."
    Only if the divergence is divided by β at one end and by 1 − β at the other.  It is 0 itself at
    both.  (distillation.1)

**unified**

64. "The policy gradient is supervised learning."
    Only if all that passes earns the same, all else earns nothing, and the strings are the policy's
    own, new at each step.  Then it is imitation of the strings that passed, times the chance to
    pass.  (unified.4)

65. "DeepSeek v3 had an aha moment."
    DeepSeek-R1-Zero, which was trained from the base model of v3.
    Source: DeepSeek-AI 2025, arXiv:2501.12948, version 1, §2.2.4.

**contrastive**

66. "InfoNCE estimates the mutual information."
    log K less the mean loss is a bound from below, and at most log K.  On the batch that it was
    fitted to, a critic shows information that is not there.  (contrastive.5)

67. "The same answer in another place of the batch is a false negative, and must be masked."
    It belongs in the sum.  Without it the bound fails, and the best critic is another one.
    (contrastive.5)

**inference**

68. "An estimate of pass@k is 1 − (1 − c/n)^k, with c of n samples right."
    It is too low on average.  Without bias is the chance that k of the n, drawn without putting any
    back, have a right one among them.  (inference.2)

69. "A model that is right with the chance p has pass@k = 1 − (1 − p)^k."
    For one prompt.  The mean over prompts comes last, and is lower where they differ.
    (inference.1)

**cascade**

70. "If a step is right with the chance p, a string of L steps is right with the chance p^L."
    If all steps have the same p, whatever came before.  Where it differs from place to place, and
    like ones go together, the chance is larger.  (cascade.5)

**search**

71. "A beam search finds the likeliest string."
    It finds it if the width is large enough.  At order 4 a beam of 1 finds it for 5 of 27 prompts,
    and one of 8 for 20; and a wider beam may find less.  (search.2)

**scaling**

72. "L = E + A/N^α + B/D^β with β = 0.25", "the law of OpenAI."
    It is DeepMind's, and β is 0.28.  L is the loss of a language model with N parameters after D
    tokens; the other letters are fitted constants.  With 0.28, Gopher has 1.993 and Chinchilla
    1.937, as printed; with 0.25 they would have 2.297 and 2.151.  (scaling.2)
    Source: Hoffmann et al. 2022, arXiv:2203.15556, eq. 10.

73. "By Chinchilla's law, 20 tokens per parameter are best."
    The printed constants ask for 93 at 5.76e23 FLOPs, for 32 at 1e19 and for 153 at 1e26.  Twenty
    is what Chinchilla has.  (scaling.4)
    Source: Hoffmann et al. 2022, arXiv:2203.15556, eq. 4; Besiroglu et al. 2024, arXiv:2404.10102.

74. "1.7 tokens per parameter are efficient."
    This is what GPT-3 had, 300 billion for 175 billion, and no rule of Kaplan et al.  (scaling.1)
    Source: Brown et al. 2020, arXiv:2005.14165; Kaplan et al. 2020, arXiv:2001.08361.

**harvest**

75. "DeepSeekMath stopped collecting pages when 98 % were unique."
    When, in the fourth iteration, nearly 98 % had already been collected in the third.  (harvest.4)
    Source: Shao et al. 2024, arXiv:2402.03300, §2.1.

**toy_lm/ngram**

76. "The temperature of sampling leaves log-probabilities as they are."
    What is sampled from one table must be scored with the same one.  Otherwise ratios are not 1 at
    the first step, and every KL is off.  (ngram.2)

**toy_lm/raters**

77. "Most algorithms of reinforcement learning assume that rewards are true."
    From people they are not: people err.  So a person's answers are modelled as a law, of which the
    reward is only a part.  (raters.1)

**Not in a chapter**

78. "ChatGPT appeared in December 2022."
    On 30 November 2022.
    Source: OpenAI, "Introducing ChatGPT", 30 November 2022.
"""
