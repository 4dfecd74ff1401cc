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

**q_learning**

5. "AlphaGo was trained by Q-learning."
   It had a policy, trained by imitation and then by the policy gradient, a network for values, and
   tree search.  Nothing in it is (q_learning.4).
   Source: Silver et al. 2016, "Mastering the game of Go with deep neural networks and tree search".

**reinforce**

6. "The usual update without the factor γᵗ is the gradient of the discounted return."
   It is at γ = 1.  At γ < 1 it is in general the gradient of nothing.  (reinforce.1)
   Source: Nota and Thomas 2020, arXiv:1906.07073.

**baselines**

7. "The best constant baseline is the mean return."
   It is a mean in which an episode counts by the squared length of its score.  The two agree only
   where that length and the return have nothing to do with each other.  (baselines.2)

8. "The batch mean, as a baseline, is unbiased."
   It contains the episode's own credit, so that B episodes give (B − 1)/B of the gradient.
   (baselines.1)

9. "An advantage has a lower variance than the absolute value of an action."
   It is compared with the action value Q itself, and the claim is not always true.  Take one state,
   π = 0.9 and 0.1, and the rewards 1 and 0: the variance of the estimate is 0.0018 with Q and
   0.1152 with Q − V.  (baselines.2)

**actor_critic**

10. "REINFORCE with a learned value baseline is A2C."
    An actor-critic has a critic that stands for rewards which were not observed.  At λ = 1, where
    every episode ends, the two agree.  (The word is "actor", not "factor".)  (actor_critic.1)

11. "Normalising the advantages is a matter of scale."
    The divisor depends on the luck of the batch that it divides, which is a bias; and the mean that
    is subtracted contains each step's own advantage.  (actor_critic.3)

**surrogate**

12. "PPO stops an epoch at 1.5 times the target of the KL."
    Some libraries do (Spinning Up, Stable-Baselines3); CleanRL has the factor 1, and the paper no
    such stop.  They compare an estimate from samples; a table has the KL itself.  (surrogate.2)

**ppo**

13. "The ratio is that of the policy to the reference."
    To π_old, which played this batch and changes with every batch.  PPO knows no reference.
    (ppo.1)

14. "Clipping keeps the ratio within 1 ± ε", "a limit on the KL therefore keeps it there."
    These are two devices, and neither does.  The clip takes away the gradient of an entry beyond
    the bound.  Other entries of its row may carry it further.  (ppo.3)

15. "The clip fraction counts the ratios outside 1 ± ε."
    It counts the steps whose gradient is dead.  A bad action whose ratio is above 1 + ε is outside
    and is still being pulled back.  (ppo.3)

**ppo_kl**

16. "The ratio and the KL of PPO's penalty are both taken to π_ref."
    Both are taken to π_old, and the direction is KL(π_old‖π).  (ppo_kl.1)
    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 8.

**sft**

17. "The end symbol is padding, and is left out of the loss."
    It is an action like any other.  A model that was never trained on it never learns to stop.
    (sft.1)

18. "Alpaca was trained on answers of ChatGPT."
    On those of text-davinci-003.
    Source: Taori et al. 2023, "Stanford Alpaca: an instruction-following LLaMA model".

**best_of_n**

19. "Best of n answers k = argmax r." "Bag of N."
    The index is k, the answer is y_k, and ties need a rule that does not look at the strings.  It
    is the best of N, not a bag.  (best_of_n.1)

20. "The KL of best of n is log n − (n − 1)/n, and it wins n/(n + 1) of the comparisons."
    Both are bounds.  They are reached only where no two draws earn the same.  (best_of_n.2)

**regularised**

21. "β is a trained parameter."
    It is the price that defines the problem.  A controller may steer it towards a wanted KL, and
    then solves another problem at each step.  (regularised.1)

**kl**

22. "KL(P‖Q) = Σ P (P − Q)."
    The logarithms are missing: Σ P (log P − log Q).  The other sum is 0 from a fair coin to any
    coin, −0.06 from (0.6, 0.4) to (0.9, 0.1), never above 1, and does not add up along a string.
    (kl.1)

23. "The KLs of the visited states, added up, have the gradient of the KL of strings."
    Their value may be right.  Their gradient freezes the visits, and so charges no choice for where
    it leads.  (kl.3)

24. "k3 is unbiased and varies little, so it is a good loss."
    An estimate is not a loss.  The mean gradient of k1 is zero, and that of k3 is the gradient of
    KL(π_ref‖π).  The biased k2 has the right one.  (kl.6)

25. "The KL in the log is the KL that is paid for."
    Some trainers log k3 and pay k1.  On a sample the two differ unless both are 0.  (kl.4)

**reward_model**

26. "A reward model returns a number between 0 and 1."
    Rewards are unbounded.  Between 0 and 1 lie the probabilities that are made from a difference
    of two.  (reward_model.1)

27. "A reward model cannot be trained by cross-entropy."
    The Bradley–Terry loss is a cross-entropy, on the difference of two rewards.  (reward_model.1)

28. "The reward model returns the average reward of winner and loser."
    It returns r(x, y) for each string, and no average is taken.  (reward_model.1)

**rlhf**

29. "Many steps, proxies and hyperparameters are shortcomings of the reward model."
    Of the pipeline: three fits one after the other, of which the reward model is one.  (rlhf.1)

30. "Reward hacking means that the policy moves too far and becomes unstable."
    It means a high proxy reward with a low true one.  Moving far is a way to it; instability is
    another matter.  (rlhf.2)
    Source: Gao et al. 2022, arXiv:2210.10760.

31. "InstructGPT maximises E[r] − β KL."
    Its equation 2 also has a term for the loss of pretraining (PPO-ptx).  (rlhf.2)
    Source: Ouyang et al. 2022, arXiv:2203.02155, eq. 2.

32. "The controller of Ziegler et al. changes β by at most 0.2 B/horizon."
    That is their code.  The paper has a constant, K_β = 0.1, in the place of B/horizon.  (rlhf.3)
    Source: Ziegler et al. 2019, arXiv:1909.08593, §2.2.

33. "Llama 2 ran PPO five times."
    Its versions are V1 to V5.  Until V4 they were made by rejection sampling alone.
    Source: Touvron et al. 2023, arXiv:2307.09288, §3.2.3.

**groups**

34. "The 1/|o_i| of GRPO is the average size of the prompts."
    It is one over the length of the answer i, which makes a mean over its steps.  (groups.5)

35. "GRPO averages the advantage over the answers."
    Each answer has an advantage of its own; their average is always 0.  The mean of the rewards is
    the baseline, and their standard deviation divides.  (groups.1)

**grpo**

36. "The KL of GRPO is that to the old policy."
    The ratio is to π_old, and k3 is to π_ref.  (grpo.1)

37. "The reference of GRPO never changes."
    Not within a run.  Algorithm 1 of DeepSeekMath sets it to the policy at each outer iteration,
    and a flag of TRL, `sync_ref_model`, moves it along.  (grpo.1)
    Source: Shao et al. 2024, arXiv:2402.03300.

38. "GRPO is a thinking model."
    It is an algorithm, by which such models have been trained.  (grpo.1)

39. "GRPO maximises E[r] − β KL."
    With k3 in the loss it maximises nothing that has a name, and comes to rest elsewhere.  With the
    KL in the reward its fixed point is that of RLHF.  (grpo.2)

**dpo**

40. "L = −E[log π − β (π − π_old)]."
    That is a step of reinforcement learning, without the logarithms and the ratio of its KL.  The
    loss of DPO compares two strings.  (dpo.2)

41. "DPO samples from the policy and rates the samples with a reward model."
    Labelled pairs and π_ref are all that it needs.  (dpo.2)

42. "L = −log σ(β π(y⁺)/π_ref(y⁺) − β π(y⁻)/π_ref(y⁻))."
    The logarithms are missing, and σ encloses both terms.  Without them the rejected string cannot
    move the margin by more than β times its present ratio.  (dpo.2)

43. "DPO is derived from PPO."
    From the optimum of J, by whatever algorithm it would be found, and from Bradley–Terry.  (dpo.1)

44. "Label smoothing (cDPO) undoes labels that were flipped."
    It flips them a second time.  Robust DPO undoes flips: it subtracts the flipped term, and then
    divides, with the share `turned` that was flipped, [turned · log σ(−m) − (1 − turned) log σ(m)]
    by 1 − 2 · turned.  Division alone only rescales.  (dpo.4)
    Source: Chowdhury et al. 2024, arXiv:2403.00409.

45. "The `label_smoothing` of TRL is that of cDPO."
    In version 1.16 it is the share of the loss "robust"; the loss "sigmoid" ignores it.  (dpo.4)

46. "The chosen string becomes less likely, so there is a bug."
    Only the difference is trained.  Both may fall, where their steps are shared.  (dpo.5)

**ipo**

47. "IPO sums the log-probabilities of a string, as its paper says."
    The formula has sums.  The results of the paper are those of means over the length, as its
    authors told the makers of TRL, which therefore divides.  (ipo.1)

**simpo**

48. "L = −log σ(β (m − γ)) with m the difference of the means."
    γ stands beside β, in units of reward: −log σ(β m − γ).  (simpo.1)

**orpo**

49. "∇L = δ(d) · h(d)."
    The sign is wrong: for h, the gradient of the log of the odds ratio, and δ = σ(−z), the loss
    −log σ(z) has the gradient −δ h.  (orpo.2)
    Source: Hong et al. 2024, arXiv:2403.07691, eq. 8.

50. "The code of ORPO imitates the chosen answers."
    It takes the mean over all tokens, those of the prompt too.  (orpo.1)

**unified**

51. "The policy gradient is supervised learning."
    It is, times the chance to pass, if all that passes earns the same, all else earns nothing, and
    the strings are the policy's own and new at each step.  (unified.4)

52. "DeepSeek v3 had an aha moment."
    DeepSeek-R1-Zero, which was trained from the base model of v3.
    Source: DeepSeek-AI 2025, arXiv:2501.12948, version 1, §2.2.4.

**ngram**

53. "The temperature of sampling leaves log-probabilities as they are."
    What is sampled from one table must be scored with the same one.  Otherwise ratios are not 1 at
    the first step, and every KL is off.  (ngram.2)

**raters**

54. "Most algorithms of reinforcement learning assume that rewards are true."
    They do, and people err.  So a person's answers are modelled as a law, of which the reward is
    only a part.  (raters.1)

**Not in a chapter**

55. "L = E + A/N^α + B/D^β with β = 0.25", "the law of OpenAI."
    It is DeepMind's, and β is 0.28.  With 0.28, Gopher has 1.993 and Chinchilla 1.937, as printed;
    with 0.25 they would have 2.297 and 2.151.
    Source: Hoffmann et al. 2022, arXiv:2203.15556, eq. 10.

56. "By Chinchilla's law, 20 tokens per parameter are best."
    The printed constants ask for 93 at 5.76e23 FLOPs, for 32 at 1e19 and for 153 at 1e26.  Twenty
    is what Chinchilla has.
    Source: Hoffmann et al. 2022, arXiv:2203.15556, eq. 4; Besiroglu et al. 2024, arXiv:2404.10102.

57. "1.7 tokens per parameter are efficient."
    This is what GPT-3 had, 300 billion for 175 billion, and no rule of Kaplan et al.
    Source: Brown et al. 2020, arXiv:2005.14165; Kaplan et al. 2020, arXiv:2001.08361.

58. "DeepSeekMath stopped to collect pages when 98 % were unique."
    When, in the fourth iteration, nearly 98 % had already been collected in the third.
    Source: Shao et al. 2024, arXiv:2402.03300, §2.1.

59. "ChatGPT appeared in December 2022."
    On 30 November 2022.
    Source: OpenAI, "Introducing ChatGPT", 30 November 2022.
"""
