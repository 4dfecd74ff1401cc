"""A line of an equation as MathML, from the plain text in which the chapters write it.

The text has `_x` and `_{…}` for what stands below, `^x` and `^{…}` for what stands above, and
Unicode for everything else.  One pass over the line makes elements of it; nothing is guessed but
small fractions such as (1/B).  A character that has no rule becomes an operator, so that no sign
can get lost; `signs` says which characters a reader has to see.
"""

import re
import unicodedata
from html import escape

RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵀᵗᵏ", "0123456789+−nTtk")
LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+−")
ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯"}
SUMS = {"Σ": "∑", "Π": "∏"}
LIMITS = {"max", "min", "argmax", "argmin", "lim"}  # what stands below them is set underneath
PRODUCTS = {"ih", "it", "dz", "dE"}                 # two letters that are no word
FENCES, BARS, PREFIXES = "()[]{}⟨⟩⌊⌋", "|‖", "−+±"

_TOKEN = re.compile(r"""
    (?P<space>\ +)
  | (?P<code>`[^`]*`)
  | (?P<fraction>(?<![\w)\]⁺'*])\([^\W_]{1,3}/[^\W_]{1,3}\))    # a coefficient such as (1/B)
  | (?P<number>\d+(?:[.,]\d+)*(?:e\d+)?|[½¼¾⅓⅔⅕⅖⅛])
  | (?P<word>[A-Za-z]{2,}(?:(?:_[a-z]{2,})*_[a-z]{3,})?\d?|[a-z]\d)  # log, grad_norm, k3
  | (?P<sum>[ΣΠ])
  | (?P<letter>[^\W\d_][\u0302\u0303\u0304]?|[∂∇∞√])
  | (?P<sign>.)""", re.X)
_INDEX = re.compile(r"""
    \{(?:[^{}]|\{[^{}]*\})*\}                         # {t+1}
  | \((?:[^()]|\([^()]*\))*\)                         # (1/K), and e^(factor·m)
  | [−+]?\|[^|]*\|                                    # −|x|
  | [−+]?[^\W_]+(?:_[a-z]{3,})*'?(?:\[[^\]]*\])?      # t, ref, s', f[s, a]
  | \S""", re.X)
_BELOW = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}|[^\W_]+'?|\S")
_HIGH, _LOW = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵀᵗᵏ]+"), re.compile("[₀-₉₊₋]+")


def mathml(line):
    """One line of an equation as a `<math>` element: str."""
    line = unicodedata.normalize("NFC", line.strip())
    line = "".join(unicodedata.normalize("NFD", c) if c.isalpha() else c for c in line)
    return f'<math displaystyle="true">{_elements(line)}</math>'


def signs(line):
    """The characters of a line that its `<math>` must show, in some order: sorted list of str."""
    line = unicodedata.normalize("NFD", line).translate(RAISED).translate(LOWERED)
    for plain, shown in [*ACCENTS.items(), *SUMS.items(), ("'", "′")]:
        line = line.replace(plain, shown)
    return sorted(re.sub(r"[\s_^{}`]", "", line))


def _elements(text):
    """The elements of a piece of text, one after another."""
    out, at, before = [], 0, "start"  # of what kind the element before was
    while at < len(text):
        found = _TOKEN.match(text, at)
        kind, token, at = found.lastgroup, found.group(), found.end()
        if kind == "space":
            if before == "thing" and re.match(r"[^\W_]|[∂∇√‖|(\[⟨`½¼¾]", text[at:at + 1]):
                out.append(f'<mspace width="{0.2 if len(token) == 1 else 0.9}em"/>')
            continue
        below, above, at = _indices(text, at, kind)
        base = _element(kind, token, before != "thing")
        under = kind == "sum" or token in LIMITS
        out.append(_with_indices(base, below, above, under))
        before = "sign" if kind == "sign" and token not in ")]}⟩⌋|‖…" and not above else "thing"
    return "".join(out)


def _element(kind, token, first):
    """One token as an element; `first` if no operand stands before it."""
    if kind == "number":
        return f"<mn>{token}</mn>"
    if kind == "code":
        return f'<mtext class="code">{escape(token.strip("`"))}</mtext>'
    if kind == "fraction":
        parts = token.strip("()").split("/")
        return f"<mfrac>{''.join(f'<mrow>{_elements(part)}</mrow>' for part in parts)}</mfrac>"
    if kind == "word":
        return ("".join(f"<mi>{letter}</mi>" for letter in token) if token in PRODUCTS
                else f'<mi>{token}</mi>')
    if kind == "sum":
        return f"<mo>{SUMS[token]}</mo>"
    if kind == "letter":
        if token[1:] in ACCENTS:
            return f'<mover accent="true"><mi>{token[0]}</mi><mo>{ACCENTS[token[1]]}</mo></mover>'
        return f"<mi>{token}</mi>"
    token = token.replace("'", "′")
    if token in FENCES:
        return f'<mo stretchy="false">{token}</mo>'
    if token in BARS:
        return f'<mo stretchy="false" lspace="0.1em" rspace="0.1em">{token}</mo>'
    if token == "/":
        return '<mo lspace="0" rspace="0">/</mo>'
    form = ' form="prefix"' if first and token in PREFIXES else ""
    return f"<mo{form}>{escape(token)}</mo>"


def _with_indices(base, below, above, under):
    names = (("munder", "mover", "munderover") if under else ("msub", "msup", "msubsup"))
    if below and above:
        return f"<{names[2]}>{base}{below}{above}</{names[2]}>"
    if below or above:
        name = names[0] if below else names[1]
        return f"<{name}>{base}{below or above}</{name}>"
    return base


def _indices(text, at, kind):
    """What stands below and above the token that ended at `at`, and where they end."""
    below = above = ""
    while at < len(text):
        if text[at] == "_" and not below and (found := _BELOW.match(text, at + 1)):
            below, at = _index(found.group()), found.end()
        elif text[at] == "^" and not above and (found := _INDEX.match(text, at + 1)):
            above, at = _index(found.group()), found.end()
        elif not above and (found := _HIGH.match(text, at)):
            above, at = f"<mrow>{_elements(found.group().translate(RAISED))}</mrow>", found.end()
        elif not below and (found := _LOW.match(text, at)):
            below, at = f"<mrow>{_elements(found.group().translate(LOWERED))}</mrow>", found.end()
        elif text[at] in "'*′″‴" and kind in ("letter", "word") and not above:
            above, at = f"<mo>{text[at].replace(chr(39), '′')}</mo>", at + 1
        else:
            break
    return below, above, at


def _index(text):
    """The inside of an index: one or two small letters are variables, as in a_it."""
    text = text[1:-1] if text.startswith("{") else text
    if re.fullmatch(r"[a-z]{2}'?", text):
        inside = "".join(f"<mi>{c}</mi>" if c != "'" else "<mo>′</mo>" for c in text)
    else:
        inside = _elements(text)
    return f"<mrow>{inside}</mrow>"
