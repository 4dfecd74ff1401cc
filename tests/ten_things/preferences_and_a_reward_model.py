"""Preferences, and the reward that explains them."""

from minirl.people.calibration import accuracy
from minirl.people.reward_model import fit_reward_model
from toy_lm import corpora, models, preferences, rewards

model = models.fit(corpora.unicode_words())
liked = rewards.easy_to_say(model.vocabulary)
pairs = preferences.sample_pairs(model.logits, liked, 20_000, rng=0)
learned = fit_reward_model(0, pairs, pull=2.0).x
print(accuracy(pairs.difference @ learned.ravel()))
