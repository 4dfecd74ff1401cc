"""From a corpus to RLHF, and how good it is."""

from minirl.people.regularised import referee_near
from minirl.people import reward_model, rlhf
from minirl.play.training import after, start
from toy_lm import corpora, models, preferences, rewards

model = models.fit(corpora.unicode_words())
world = model.world(rewards.easy_to_say(model.vocabulary))
pairs = preferences.sample_pairs(model.logits, world.mean_reward, 50_000, rng=0)
learned = reward_model.fit_reward_model(0, pairs, pull=2.0).x
trainer = rlhf.rlhf(world, start(model.logits, rng=0), learned, model.logits, beta=0.5)
print(referee_near(world, model.logits, beta=0.5)(after(trainer, 400).policy).share)
