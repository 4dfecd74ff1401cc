"""The mutants of a source file: one small mistake each.

A mutant is named by its module, function, operator and the piece of source before and after, so
that its name outlives lines that move.  Docstrings, annotations, imports, decorators and what
stands under `if __name__ == "__main__"` have none.
"""

import ast
import copy
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = tuple(name for name in ("minirl", "gridworld", "toy_lm") if (ROOT / name).is_dir())


class Mutant(NamedTuple):
    """One mistake; `number` tells apart those that would else be called the same."""

    module: str
    function: str    # its qualified name, or <module>
    operator: str
    before: str
    after: str
    number: int
    lines: tuple     # first and last of the statement, or of its header
    zone: str        # body of a function, header of one (its defaults), or module
    names: tuple     # what the statement defines, if the zone is no body
    loss: bool       # in a function that holds a loss or a gradient, or in a private helper of one
    edit: tuple      # (parent, field, index or None, replacement) in the module's tree

    @property
    def name(self):
        """The whole name, as it stands in lists."""
        more = f" ({self.number})" if self.number else ""
        return (f"{self.module}.{self.function}, {self.operator}: "
                f"{self.before} → {self.after}{more}")


class Place(NamedTuple):
    """Where the walk through a module is."""

    function: str = "<module>"
    zone: str = "module"
    lines: tuple = (1, 1)
    names: tuple = ()
    fragment: tuple = ()  # the expressions around this one, the outermost first


def all_mutants(pattern=""):
    """(tree of the module, mutant) for the modules of the packages that a pattern matches."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if re.search(pattern, module):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [(tree, mutant) for mutant in mutants_of(tree, module)]
    return found


def sample_of(mutants, number, seed):
    """A sample of (tree, mutant) that depends on the seed and the names alone.

    Each statement gives at most one mutant, so that a table of a hundred numbers does not weigh a
    hundred times; then those are taken whose digests are lowest.
    """
    def digest(pair):
        return hashlib.sha256(f"{seed} {pair[1].name}".encode()).hexdigest()
    first = {}
    for pair in sorted(mutants, key=digest):
        first.setdefault((pair[1].module, pair[1].lines), pair)
    return list(first.values())[:number]


def mutants_of(tree, module):
    """All mutants of a module, given its tree."""
    losses, found, seen = loss_functions(tree), [], {}
    for operator, edit, place in _walk(tree, Place()):
        before, after = _fragments(edit, place)
        if before == after:
            continue
        key = (place.function, operator, before, after)
        seen[key] = number = seen.get(key, -1) + 1
        found.append(Mutant(module, *key, number, place.lines, place.zone, place.names,
                            place.function.split(".")[0] in losses, edit))
    return found


def apply(edit):
    """Make an edit of a tree; returns the edit that undoes it."""
    parent, field, index, new = edit
    if index is None:
        old = getattr(parent, field)
        setattr(parent, field, new)
    else:
        old = getattr(parent, field)[index]
        getattr(parent, field)[index] = new
    return parent, field, index, old


def loss_functions(tree):
    """Functions that hold a loss or a gradient: by their name, or by what they return; and the
    private functions of the module that these call."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = {name for name, node in functions.items()
             if re.search(r"_loss$|_grad|^backward$", name) or any(
                 isinstance(part, ast.Return) and isinstance(part.value, ast.Tuple)
                 and len(part.value.elts) == 2
                 and re.search(r"grad|backward", ast.unparse(part.value.elts[1]))
                 for part in ast.walk(node))}
    while True:
        called = {part.id for name in found for part in ast.walk(functions[name])
                  if isinstance(part, ast.Name) and part.id.startswith("_")} & set(functions)
        if called <= found:
            return found
        found |= called


# The walk.

SKIPPED = {"annotation", "returns", "decorator_list", "bases", "type_params", "format_spec", "ctx"}


def _walk(node, place):
    """(operator, edit, place) of all mutants below a node."""
    for field, value in ast.iter_fields(node):
        if field in SKIPPED or field == "keywords" and isinstance(node, ast.ClassDef):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_none(child, node):
                continue
            here = _inside(place, node, child)
            for operator, replacement in _replacements(child, node, field):
                yield operator, (node, field, index, replacement), here
            yield from _walk(child, here)


def _is_none(child, parent):
    """Docstrings, imports and what runs only as a program."""
    return (isinstance(child, (ast.Import, ast.ImportFrom))
            or isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            or isinstance(child, ast.If) and "__name__" in ast.unparse(child.test))


def _inside(place, node, child):
    """The place of a child of a node."""
    if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
        function = (child.name if place.function == "<module>"
                    else f"{place.function}.{child.name}")
        zone = ("body" if place.zone == "body"
                else "header" if isinstance(child, ast.FunctionDef) else "module")
        return Place(function, zone, (child.lineno, child.end_lineno), (child.name,))
    if isinstance(child, ast.stmt):
        first_of_body = child.body[0] if getattr(child, "body", None) else None
        last = max(child.lineno, first_of_body.lineno - 1) if first_of_body else child.end_lineno
        zone, names = place.zone, ()
        if isinstance(node, ast.FunctionDef):
            zone = "body"
        elif zone != "body":
            zone = "module"
            targets = getattr(child, "targets", None) or [getattr(child, "target", None)]
            names = tuple(part.id for target in targets if target is not None
                          for part in ast.walk(target) if isinstance(part, ast.Name))
            names += place.names if place.function != "<module>" else ()
        return place._replace(zone=zone, lines=(child.lineno, last), names=names, fragment=())
    return place._replace(fragment=(*place.fragment, child))


def _fragments(edit, place, width=50):
    """The piece of source that a mutant is known by, before and after."""
    parent, field, index, _ = edit
    old = getattr(parent, field) if index is None else getattr(parent, field)[index]
    if isinstance(old, ast.stmt):
        return _short(ast.unparse(old)), _short(ast.unparse(edit[3]))
    chain = [node for node in place.fragment if isinstance(node, (ast.expr, ast.keyword))]
    while chain and chain[-1] is old and len(chain) > 1:
        chain = chain[:-1]
    outer = None
    for node in reversed(chain):  # the largest expression around it that is short enough
        if node is not old and len(ast.unparse(node)) > width:
            break
        outer = node
    if outer is None or outer is old:
        if isinstance(old, (ast.cmpop, ast.operator, ast.unaryop, ast.boolop)):
            outer = parent
        else:
            return _short(ast.unparse(old)), _short(ast.unparse(edit[3]))
    before = ast.unparse(outer)
    back = apply(edit)
    try:
        after = ast.unparse(outer)
    finally:
        apply(back)
    return _differing(before, after)


def _short(text, width=70):
    text = " ".join(text.split())
    return text if len(text) <= width else text[:width - 1] + "…"


def _differing(before, after, width=70, around=30):
    """Two texts cut to where they differ, if they are long."""
    before, after = " ".join(before.split()), " ".join(after.split())
    if max(len(before), len(after)) <= width:
        return before, after
    same = next((i for i, (one, other) in enumerate(zip(before, after)) if one != other),
                min(len(before), len(after)))
    first = max(0, same - around)
    return tuple(("…" if first else "") + _short(text[first:]) for text in (before, after))


# The operators.

COMPARED = {ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
            ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
            ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
            ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
            ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd}
_PAIRS = [("any", "all"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("min", "max"),
          ("minimum", "maximum"), ("argmin", "argmax"), ("floor", "ceil"), ("sum", "mean"),
          ("add", "subtract"), ("multiply", "divide"), ("startswith", "endswith"),
          ("nanmin", "nanmax"), ("rows", "columns")]
EXCHANGED = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
UNWRAPPED = {"abs", "exp", "log", "sqrt", "sum", "sort", "sorted", "unique", "reversed", "list",
             "set", "float", "int", "bool", "round", "log1p", "expm1", "ascontiguousarray", "mean",
             "asarray", "array", "cumsum", "square", "isfinite", "diff", "flatnonzero"}
UNWRAPPED_METHODS = {"copy", "sum", "mean", "ravel", "strip", "astype", "reshape", "max", "min",
                     "cumsum", "any", "all", "round", "toarray", "tocsr", "lower", "item",
                     "tolist", "rstrip", "cumprod"}
SYMMETRIC = {"min", "max", "minimum", "maximum", "add", "multiply", "logaddexp"}


def _replacements(node, parent, field):
    """(operator, what stands there instead) for one node."""
    kind = type(node).__name__
    found = _OPERATORS.get(kind)
    yield from found(node, parent, field) if found else ()
    if field == "test" and isinstance(parent, (ast.If, ast.IfExp)):
        yield "condition", _at(node, ast.Constant(True))
        yield "condition", _at(node, ast.Constant(False))
    elif field == "test" and isinstance(parent, ast.While):
        yield "condition", _at(node, ast.Constant(False))
    elif field == "ifs":
        yield "condition", _at(node, ast.Constant(True))
    elif field == "iter" and isinstance(parent, ast.For):
        yield "empty loop", _at(node, ast.Tuple([], ast.Load()))
    elif (field in ("lower", "upper") and isinstance(parent, ast.Slice)
          and not isinstance(node, (ast.Constant, ast.UnaryOp))):
        yield "bound", _at(node, ast.BinOp(node, ast.Add(), ast.Constant(1)))
    if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
        word = node.id if isinstance(node, ast.Name) else node.attr
        if word in EXCHANGED:
            twin = copy.copy(node)
            setattr(twin, "id" if isinstance(node, ast.Name) else "attr", EXCHANGED[word])
            yield "function", twin
        if word == "T" and isinstance(node, ast.Attribute):
            yield "transpose", node.value


def _at(node, new):
    return ast.copy_location(new, node)


def _compare(node, parent, field):
    for place, op in enumerate(node.ops):
        for other in COMPARED[type(op)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1:]]
            yield "comparison", _at(node, ast.Compare(node.left, ops, node.comparators))


def _computed(node, parent, field):
    if type(node.op) in COMPUTED:
        twin = copy.copy(node)
        twin.op = COMPUTED[type(node.op)]()
        yield "arithmetic", twin
    if isinstance(node, ast.AugAssign):
        yield "statement", _at(node, ast.Pass())


def _unary(node, parent, field):
    if not isinstance(node.op, ast.UAdd):
        yield "sign", node.operand


def _bool(node, parent, field):
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield "and, or", _at(node, ast.BoolOp(other, node.values))
    for place in range(len(node.values)):
        left = [*node.values[:place], *node.values[place + 1:]]
        yield "and, or", left[0] if len(left) == 1 else _at(node, ast.BoolOp(node.op, left))


def _constant(node, parent, field):
    value = node.value
    if isinstance(value, bool):
        yield "constant", _at(node, ast.Constant(not value))
    elif isinstance(value, int):
        yield "constant", _at(node, ast.Constant(value + 1))
        yield "constant", _at(node, ast.Constant(value - 1))
    elif isinstance(value, float):
        yield "constant", _at(node, ast.Constant(value + 1.0))


def _call(node, parent, field):
    word = (node.func.id if isinstance(node.func, ast.Name)
            else node.func.attr if isinstance(node.func, ast.Attribute) else "")
    plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
    if len(plain) == len(node.args) >= 2 and word not in SYMMETRIC and (
            ast.dump(plain[0]) != ast.dump(plain[1])):
        yield "arguments", _at(node, ast.Call(
            node.func, [plain[1], plain[0], *plain[2:]], node.keywords))
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield "keyword", _at(node, ast.Call(
                node.func, node.args, [*node.keywords[:place], *node.keywords[place + 1:]]))
    library = isinstance(node.func, ast.Name) or (
        isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("np", "math"))
    if library and word in UNWRAPPED and plain and node.args[0] is plain[0]:
        yield "call", plain[0]
    elif not library and word in UNWRAPPED_METHODS and isinstance(node.func, ast.Attribute):
        yield "call", node.func.value


def _dropped(node, parent, field):
    yield "statement", _at(node, ast.Pass())


def _return(node, parent, field):
    if node.value is not None:
        yield "statement", _at(node, ast.Pass())


def _expression(node, parent, field):
    if isinstance(node.value, ast.Call):
        yield "statement", _at(node, ast.Pass())


def _jump(node, parent, field):
    yield "statement", _at(node, ast.Continue() if isinstance(node, ast.Break) else ast.Break())


_OPERATORS = {"Compare": _compare, "BinOp": _computed, "AugAssign": _computed, "UnaryOp": _unary,
              "BoolOp": _bool, "Constant": _constant, "Call": _call, "Raise": _dropped,
              "Return": _return, "Expr": _expression, "Break": _jump, "Continue": _jump}
