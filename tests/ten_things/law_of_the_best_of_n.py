"""What the best of four strings is like, exactly."""

from minirl.exact.return_law import reward_law
from minirl.people.best_of_n import best_of_n
from toy_lm import corpora, models, rewards

model = models.fit(corpora.unicode_words())
world = model.world(rewards.easy_to_say(model.vocabulary))
best = best_of_n(reward_law(world, model.policy), 4)
print(best.reward, best.kl, best.win_rate)
