"""The best string of each four."""

from minirl.people.best_of_n import winners
from toy_lm import corpora, models, ngram, rewards

model = models.fit(corpora.unicode_words())
rate = rewards.of_strings(model.vocabulary, rewards.easy_to_say(model.vocabulary))
strings = ngram.sample(model.logits, 40, rng=0)
best = winners(strings, rate(model.vocabulary.decode(strings)), 4)
print(*model.vocabulary.decode(best), sep="\n")
