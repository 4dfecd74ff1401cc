"""Which name in which library: what three of them call the methods of this book.

A page to turn to after Part 4.  It was written from the sources of TRL 1.16.0, OpenRLHF 0.11.2 and
verl 0.9.1.  Names and defaults change, so look at the version that you have.  A dash says that a
library has nothing of the kind.  A number in brackets leads to the end of the page, where it is
said in what the forms differ.  `tests/test_names.py` holds what the page says of this book.  What
it says of the libraries was read in their code.

**Losses on preferences.**  In quotation marks stands a `loss_type` of TRL's `DPOTrainer`, or of the
trainer before it.  The trainers of CPO and ORPO are experimental there, as are those of GMPO and
GKD below.  OpenRLHF has three commands and an option; verl has SFT, and nothing on preferences.

    here                                            TRL                                  OpenRLHF
    reward_model.bradley_terry_loss                 RewardTrainer                        train_rm
    sft.sft_loss                                    SFTTrainer, "nll"                    train_sft
    dpo.dpo_loss, dpo.logistic                      "sigmoid" (1)                        train_dpo
    ipo.ipo_loss, ipo.squared                       "ipo" (2)                            ipo_enable
    kto.kto_loss                                    KTOTrainer, "kto"                    -
    simpo.simpo_loss                                CPOTrainer, "simpo" (3)              -
    orpo.orpo_loss, orpo.odds                       ORPOTrainer (4)                      -
    margins.hinge                                   "hinge" (5)                          -
    margins.truncated_squared, margins.exponential  -                                    -
    margins.savage                                  -                                    -
    margins.robust                                  "robust" (1)                         -
    margins.exo, margins.nca, margins.sppo          "exo_pair", "nca_pair", "sppo_hard"  -
    margins.bco                                     "bco_pair" (6)                       -
    margins.apo_zero, margins.apo_down              "apo_zero", "apo_down"               -
    margins.discopop                                "discopop"                           -
    margins.aot_loss, margins.aot_unpaired_loss     "aot", "aot_unpaired" (7)            -
    margins.forward_kl, margins.jensen_shannon      f_divergence_type                    -
    margins.alpha_divergence                        f_divergence_type (8)                -

**Surrogates.**  In quotation marks stands a `loss_type` of TRL's `GRPOTrainer`, an OpenRLHF
`policy_loss_type`, or a `loss_mode` of verl.

    here                       TRL                       OpenRLHF   verl
    ppo.ppo_loss, ratios.clip  "dapo", "grpo" (9)        "ppo"      "vanilla" (10)
    ratios.unclipped           -                         -          -
    ratios.dual_clip           delta (10)                dual_clip  clip_ratio_c (10)
    ratios.cispo               "cispo" (11)              -          "cispo" (11)
    ratios.string_loss         "grpo", "sequence" (12)   "gspo"     "gspo" (12)
    ratios.gmpo_loss           GMPOTrainer               -          "geo_mean" (13)
    ratios.sapo                "sapo"                    -          "sapo"
    ratios.vespo               "vespo"                   -          -
    ppo_kl.ppo_kl_loss         -                         -          -

**Trainers and baselines.**  In quotation marks stands a `scale_rewards` of TRL, an
`advantage.estimator` of OpenRLHF, or an `adv_estimator` of verl.  In none of the three is there an
`actor_critic.actor_critic`, a `best_of_n.rejection_sampling`, or the loss of whole strings,
`distillation.string_distillation_loss`.

    here                            TRL                  OpenRLHF            verl
    reinforce.reinforce             -                    "reinforce" (14)    "reinforce_plus_plus"
    ppo.ppo, rlhf.rlhf              -                    "gae"               "gae"
    grpo.grpo                       GRPOTrainer (15)     train_ppo_ray (15)  main_ppo (15)
    groups.group_normalised         "group" (16)         "group_norm" (16)   "grpo" (16)
    groups.group_centred            "none"               "dr_grpo" (17)      norm_adv_by_std_in_grpo
    groups.group_leave_one_out      RLOOTrainer (18)     "rloo"              "rloo"
    distillation.distillation_loss  GKDTrainer (19)      -                   distillation_loss (20)

**Divisors.**  In quotation marks stands a `loss_type` of TRL, or a `loss_agg_mode`.

    here               TRL                 OpenRLHF               verl
    groups.per_string  "grpo"              "seq-mean-token-mean"  "seq-mean-token-mean"
    groups.per_length  "dr_grpo"           -                      "seq-mean-token-sum-norm"
    groups.per_step    "dapo", "bnpo" (9)  "token-mean"           "token-mean"

**Hyperparameters.**  A number is the default of a library where it is not the default here.  The
names here are those of Stable-Baselines3 in PPO, and those of TRL in the rest.

    here              of                 TRL                              OpenRLHF
    beta              dpo_loss           beta=0.1                         model.beta=0.1
    beta, which is τ  ipo_loss           beta=0.1                         model.beta=0.1
    beta, which is λ  orpo_loss          beta=0.1                         -
    label_smoothing   dpo_loss           - (1)                            model.label_smoothing
    label_smoothing   robust             label_smoothing=0.0              -
    label_smoothing   exo                label_smoothing=0.0              -
    alpha             alpha_divergence   f_alpha_divergence_coef=0.5 (8)  -
    simpo_gamma       simpo_loss         simpo_gamma=0.5                  -
    beta              distillation_loss  beta                             -
    lmbda             fit_distilled      lmbda                            -

    here             of         TRL                    OpenRLHF                verl
    beta             grpo       beta                   kl.init_coef=0.01       kl_loss_coef=0.001
    beta             rlhf       -                      kl.init_coef=0.01       kl_ctrl.kl_coef=0.001
    num_generations  grpo       num_generations        n_samples_per_prompt=1  rollout.n=1
    num_iterations   grpo       num_iterations=1       train.max_epochs=1      ppo_epochs=1
    epsilon          clip       epsilon                eps_clip                clip_ratio
    epsilon_high     clip       epsilon_high           eps_clip_low_high       clip_ratio_high
    delta            dual_clip  delta=None (10)        dual_clip=None          clip_ratio_c
    high             cispo      epsilon_high=0.2 (11)  -                       clip_ratio_high (11)
    epsilon          gmpo_loss  epsilon                -                       clip_ratio=0.2 (13)
    temperature_pos  sapo       sapo_temperature_pos   -                       tau_pos
    temperature_neg  sapo       sapo_temperature_neg   -                       tau_neg
    k_pos            vespo      vespo_k_pos            -                       -
    lambda_pos       vespo      vespo_lambda_pos       -                       -
    clip_range       ppo        -                      eps_clip                clip_ratio
    n_epochs         ppo        -                      train.max_epochs=1      ppo_epochs=1
    gae_lambda       ppo        -                      advantage.lambd=1       lam=1
    ent_coef         ppo        -                      entropy_coef=None       entropy_coeff=0

**Same name, other thing.**

1. Here, in OpenRLHF, and in TRL's CPO and AOT, `label_smoothing` is that of conservative DPO.  In
   TRL's `DPOTrainer` it is the share of flipped labels of "robust", and the ε of "exo_pair", which
   refuses its default of 0; the loss "sigmoid" ignores it.
2. IPO has sums over a string here and in OpenRLHF, and means per step in TRL.  `margin_loss` of
   `margins`, with `Pairs.means` and `ipo.squared`, has these too; with `dpo.logistic` it is TRL's
   "sigmoid_norm".
3. CPOTrainer adds the loss of SFT on the chosen strings, unless `cpo_alpha` is 0.
4. ORPOTrainer takes the loss of SFT over the steps of the prompt too.
5. Here and in TRL the hinge takes log-ratios, as in RSO (arXiv:2309.06657).  SLiC itself
   (arXiv:2305.10425) takes log π, has no reference, and adds a likelihood.
6. The paper's reward shift is the argument `delta` here.  TRL has none, as if it were 0.
7. In older versions of TRL the unpaired loss was called "aot_pair".
8. TRL's coefficient is 1 − α.  In older versions it was α, as in the paper.
9. "dapo", "grpo", "bnpo", "dr_grpo" and "luspo" are one surrogate with different divisors.  The
   default is "dapo", which divides by all steps of a batch; "bnpo" divides by those on one device.
10. In verl the dual clip is always on, at 3; in the others it is off.  TRL's `delta` bounds ρ also
    where A > 0, which changes nothing while it is at least 1 + ε_high.
11. The bound is a ratio here and in TRL; in verl there are two, at 1 ± ε.  TRL's default is that of
    ε: unless `epsilon_high` is given, every weight is capped at 0.2.
12. GSPO is `importance_sampling_level="sequence"` with "grpo" in TRL.  With "dapo" a string counts
    |y| times.  So it does in verl, unless `loss_agg_mode` is "seq-mean-token-mean".  LUSPO counts
    it |y| times on purpose: "luspo" in TRL, and weights of `groups.per_length(1)` here.
13. The ε of GMPO bounds log ρ, in nats.  verl's default is the one it has for PPO.
14. Both libraries whiten the return to go over the batch and put it into the surrogate of PPO.
15. The KL in the loss is off by default.  It is k3 here and in verl.  In TRL it is k3 times ρ,
    whose gradient is that of the reverse KL, unless `use_bias_correction_kl` is False.  OpenRLHF
    puts k1 into the reward, unless `kl.use_loss` is set.
16. The libraries divide the sum of squares by K − 1, this book by K.  To the standard deviation
    they add 1e-4, 1e-9 and 1e-6, in the order of the columns.
17. As in Dr. GRPO there is no standard deviation.  The divisor remains the number of steps.
18. In TRL the ratio is the product over a string, clipped at 1 ± ε.  Elsewhere it is a step's.
19. Everywhere `beta` 0 is KL(teacher‖student), and 1 is KL(student‖teacher).  TRL draws lots with
    `lmbda`, once per batch; here it mixes visits.  TRL's DistillationTrainer has the student's own
    strings alone, and `beta` 1 by default.
20. "k1", "k2" and "k3" are estimates from one sample.  With `use_policy_gradient` they are what a
    step costs, as in RLHF.  Without it "k2" and "k3" are differentiated, see (kl.6) for what comes
    of it, and "k1" is refused.  "forward_kl_topk" is `beta` 0 on the teacher's likeliest actions.
"""
