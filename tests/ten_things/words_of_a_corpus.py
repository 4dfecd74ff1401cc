"""Words that might be in a corpus."""

from toy_lm.corpora import read_lines
from toy_lm.models import fit

model = fit(read_lines("words.txt"))
print(*model.write(10, rng=0), sep="\n")
