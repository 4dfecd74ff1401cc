"""How much reward does a nat of KL buy?"""

from minirl.people.regularised import frontier
from toy_lm import corpora, models, rewards

model = models.fit(corpora.unicode_words())
world = model.world(rewards.easy_to_say(model.vocabulary))
for point in frontier(world, model.logits, [5.0, 2.0, 1.0, 0.5, 0.3]):
    print(point.beta, point.kl, point.reward)
