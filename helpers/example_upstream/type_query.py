"""The query language of the example Hippocampome.org (their Help_Search_Engine.php), honestly but in small.

Understood are Morphology, Markers, Neurotransmitter, Name, Include, Exclude, AND, OR, NOT and brackets. Other
criteria hold for every type. As there, operators have no precedence: each takes all that follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

LAYERS: Final = {
    "DG": ("SMo", "SMi", "SG", "H"),
    "CA3": ("SLM", "SR", "SL", "SP", "SO"),
    "CA2": ("SLM", "SR", "SP", "SO"),
    "CA1": ("SLM", "SR", "SP", "SO"),
    "SUB": ("SM", "SP", "PL"),
    "EC": ("I", "II", "III", "IV", "V", "VI"),
}
SIGNS: Final = {"d+": "positive", "d-": "negative", "i+": "positive", "i-": "negative"}
INFERRED: Final = ("inference", "multiple confirming inferences")  # qualifications of a marker
MIXED: Final = re.compile(r"[di](±|\+-|-\+)")
OPERATORS: Final[dict[str, Callable[[set[str], set[str]], set[str]]]] = {
    "and": set.__and__,
    "or": set.__or__,
    "not": set.__sub__,
}
CRITERIA: Final = (
    *("morphology", "markers", "neurotransmitter", "name"),
    *("electrophysiology", "firingpattern", "firingpatternparameter"),
)

NeuronType = dict[str, Any]
Tree = list[Any]  # words and the trees of brackets


@dataclass
class Found:
    """The answer to a query, by type id; `postsynaptic` is None for a query of neurons."""

    types: set[str]
    postsynaptic: set[str] | None = None
    printed: list[str] = field(default_factory=list)  # what the site prints before its JSON


def run(query: str, types: Sequence[NeuronType]) -> Found:
    """Evaluate a query. Raises `ValueError` for one that the site fails on."""
    tree = _tree(query)
    if len(tree) < 2 or not isinstance(tree[1], list):
        raise ValueError("neither a Neuron nor a Connection query")
    search = _Search(types)
    keyword, body = str(tree[0]).lower(), tree[1]
    if keyword == "neuron:":
        return Found(search.clause(_unwrapped(body)), None, search.printed)
    if keyword == "connection:" and len(body) >= 5:
        ends = str(body[0]).lower(), str(body[3]).lower()
        if ends == ("presynaptic:", "postsynaptic:"):
            return Found(search.clause(body[1]), search.clause(body[4]), search.printed)
    raise ValueError("neither a Neuron nor a Connection query")


def _tree(query: str) -> Tree:
    """Words split at blanks and brackets only, nested as the brackets are."""
    stack: list[Tree] = [[]]
    for word in re.findall(r"[()]|[^()\s]+", query):
        if word == "(":
            stack.append([])
        elif word != ")":
            stack[-1].append(word)
        elif len(stack) == 1:
            raise ValueError("a bracket closes that was never opened")
        else:
            closed = stack.pop()
            stack[-1].append(closed)
    if len(stack) > 1:
        raise ValueError("a bracket is never closed")
    return stack[0]


def _unwrapped(body: Tree) -> Tree:
    """In a query of neurons, `Presynaptic:` is no word: only the first bracket after it counts."""
    if len(body) > 1 and str(body[0]).lower() in ("presynaptic:", "postsynaptic:"):
        return body[1] if isinstance(body[1], list) else []
    return body


class _Search:
    def __init__(self, types: Sequence[NeuronType]) -> None:
        self._types = types
        self._all = {str(item["id"]) for item in types}
        self.printed: list[str] = []

    def clause(self, tree: Any) -> set[str]:
        """The types of one clause with what it includes and excludes."""
        if not isinstance(tree, list):
            raise ValueError("a bracket is missing")
        rest, listed = [], {"include": set[str](), "exclude": set[str]()}
        words = iter(tree)
        for word in words:
            name = str(word).lower().lstrip(",").rstrip(":")
            if isinstance(word, str) and name in listed:
                listed[name] = set(re.findall(r"\d+", str(next(words, ""))))
            elif word != ",":
                rest.append(word)
        found = self._criteria(rest, "") if rest else set()
        if listed["exclude"]:
            self.printed.append("<pre></pre>")
        return (found | listed["include"]) - listed["exclude"]

    def _criteria(self, words: Tree, keyword: str) -> set[str]:
        """The types of `one AND two OR three`, read as `one AND (two OR three)`."""
        found, operators = [], []
        while True:
            operand, words = self._operand(words, keyword)
            found.append(operand)
            operator = OPERATORS.get(str(words[0]).lower()) if words else None
            if operator is None:
                break
            operators.append(operator)
            words = words[1:]
        result = found.pop()
        while operators:
            result = operators.pop()(found.pop(), result)
        return result

    def _operand(self, words: Tree, keyword: str) -> tuple[set[str], Tree]:
        """The types of the first criterion, and what follows it."""
        if not words:
            raise ValueError("a criterion is missing")
        word, rest = words[0], words[1:]
        if isinstance(word, list):
            return self._criteria(word, keyword), rest
        name, _, condition = word.rstrip(",").partition(":")
        name = name.lower()
        if name == "not":
            return self._all - self._criteria(rest, keyword), []
        if keyword or name not in CRITERIA:
            return self._condition(keyword, word.rstrip(",")), rest
        if condition:
            return self._condition(name, condition), rest
        if not rest:
            raise ValueError(f"{word} has no condition")
        return self._criteria(rest[0] if isinstance(rest[0], list) else rest[:1], name), rest[1:]

    def _condition(self, keyword: str, text: str) -> set[str]:
        tests: dict[str, Callable[[NeuronType], bool]] = {
            "name": lambda item: text.lower() in item["nickname"].lower(),
            "neurotransmitter": lambda item: text.lower() in ("both", item["neurotransmitter"]),
            "markers": lambda item: _has_marker(item, text),
        }
        if keyword == "morphology":
            return self._morphology(text)
        if keyword not in tests:
            return self._all
        return {str(item["id"]) for item in self._types if tests[keyword](item)}

    def _morphology(self, text: str) -> set[str]:
        part, region, codes = [*text.split(":"), "", ""][:3]
        layers = LAYERS.get(region.upper(), ())
        if not codes or len(codes) != len(layers):
            self.printed.append(f"<br>Invalid count of {region}:{codes} for condition {part.lower()}<br>")
            return self._all
        wanted = {
            f"{region.upper()}:{layer}": code != "0"
            for layer, code in zip(layers, codes, strict=True)
            if code != "?"
        }
        return {
            str(item["id"])
            for item in self._types
            if all((place in item.get(part.lower(), ())) == present for place, present in wanted.items())
        }


def _has_marker(item: NeuronType, text: str) -> bool:
    """`D+:CB`: whether a marker is known with this sign, directly (D) or by inference (I)."""
    mode, _, name = text.lower().partition(":")
    sign = "mixed" if MIXED.fullmatch(mode) else SIGNS.get(mode)
    if sign is None:
        return True
    notes = [note for marker, note in item["markers"].get(sign, ()) if marker.lower() == name]
    return any(sign == "mixed" or (note in INFERRED) == mode.startswith("i") for note in notes)
