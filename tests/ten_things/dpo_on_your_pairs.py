"""DPO on preferences of your own."""

from minirl.people.dpo import fit_dpo
from toy_lm import align, corpora, models

model = models.fit(corpora.read_lines("words.txt"))
pairs = align.load_preferences("pairs.jsonl", model)
aligned = model._replace(logits=fit_dpo(model.logits, pairs, beta=0.5, pull=2.0).x)
print(*aligned.write(10, rng=0), sep="\n")
