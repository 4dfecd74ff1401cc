"""What returns a record of the book, or yields, says so: an editor knows the fields."""

import ast
import inspect
import re
from importlib import import_module
from typing import get_type_hints

import pytest
from test_house import EXTRAS, SOURCES, module_name, parsed

TREES = {path: parsed(path) for path in SOURCES
         if path.parent.name != "plain"}  # which imports NumPy alone
INNER = ast.FunctionDef, ast.Lambda, ast.ClassDef


def is_record(node):
    """A class, or a named tuple."""
    return isinstance(node, ast.ClassDef) or (
        isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("namedtuple("))


def said(function):
    """What a function is annotated with, without quotation marks and modules, or None."""
    return function.returns and re.sub(r"'|\b[a-z]\w*\.", "", ast.unparse(function.returns))


RECORDS = {getattr(node, "name", None) or node.targets[0].id
           for tree in TREES.values() for node in tree.body if is_record(node)}
PUBLIC = [(path, owner, node) for path, tree in TREES.items() for owner in [tree, *tree.body]
          if isinstance(owner, (ast.Module, ast.ClassDef)) for node in owner.body
          if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
KNOWN = {function.name: said(function) for _, owner, function in PUBLIC
         if isinstance(owner, ast.Module)}


def own(function):
    """All nodes of a function that are not of a function inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, INNER):
            yield node
            yield from own(node)


def made_by(value, function, owner):
    """The record that an expression makes, as far as the text of its function tells, or None."""
    def again(other):
        return made_by(other, function, owner)

    match value:
        case ast.Call(func=ast.Attribute(value=old, attr="_replace")):
            return again(old)
        case ast.Call(func=ast.Name(id="replace"), args=[old, *_]):
            return again(old)
        case ast.Call(func=ast.Name(id="cls")) | ast.Name(id="self"):
            return owner.name
        case ast.Call(func=(ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name))):
            here = {node.id for node in own(function) if isinstance(node, ast.Name)
                    and isinstance(node.ctx, ast.Store)}
            return name if name in RECORDS else None if name in here else KNOWN.get(name)
        case ast.ListComp(elt=one):
            return again(one) and f"list[{again(one)}]"
        case ast.Name(id=name):
            made = {again(node.value) for node in own(function) if isinstance(node, ast.Assign)
                    and name in map(ast.unparse, node.targets)
                    and name not in {part.id for part in ast.walk(node.value)
                                     if isinstance(part, ast.Name)}}
            return made.pop() if len(made) == 1 else None


def test_a_function_that_makes_a_record_or_yields_is_annotated_with_it():
    wrong = []
    for path, owner, function in PUBLIC:
        nodes = list(own(function))
        if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes):
            right = (said(function) or "").startswith("Iterator[")
        else:
            made = {made_by(node.value, function, owner) for node in nodes
                    if isinstance(node, ast.Return) and node.value}
            only = made.pop() if len(made) == 1 else None
            right = not {*re.findall(r"\w+", only or "")} & RECORDS or said(function) == only
        if not right:
            wrong.append(f"{module_name(path)}.{function.name}: {said(function)}, not {only}")
    assert wrong == [] and sum(map(bool, KNOWN.values())) > 150


@pytest.mark.parametrize("path", TREES, ids=module_name)
def test_an_annotation_names_what_there_is(path):
    """In quotation marks it would not be missed before somebody asks."""
    name = module_name(path).removesuffix(".__init__")
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    for thing in vars(import_module(name)).values():
        if getattr(thing, "__module__", "") == name:
            for function in [thing, *vars(thing).values()] if inspect.isclass(thing) else [thing]:
                function = getattr(function, "fget", getattr(function, "func", function))
                if inspect.isfunction(function):
                    get_type_hints(function)
