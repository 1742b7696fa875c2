"""Reads a signal set's features/*.lua, Lua files that only return tables of literals: Python and the engine share
one text."""

import os
import re

_TOKEN = re.compile(r"""
    \s+ | --[^\n]* |
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') |
    (?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?) |
    (?P<word>[A-Za-z_]\w*) |
    (?P<mark>[{}=,;\[\]])
""", re.VERBOSE)


def _tokens(source):
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if not match:
            line = source.count("\n", 0, at) + 1
            raise ValueError(f"line {line}: only tables of literals are read here")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match.group()
    yield "end", ""


class _Reader:
    def __init__(self, source):
        self.tokens = list(_tokens(source))
        self.at = 0

    def next(self, *expected):
        kind, text = self.tokens[self.at]
        if expected and text not in expected:
            raise ValueError(f"{' or '.join(expected)} expected, found {text!r}")
        self.at += 1
        return kind, text

    def peek(self, ahead=0):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def value(self):
        kind, text = self.next()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if kind == "word" and text in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[text]
        if text == "{":
            return self.table()
        raise ValueError(f"a literal expected, found {text!r}")

    def table(self):
        items, fields = [], {}
        while self.peek()[1] != "}":
            if self.peek()[0] == "word" and self.peek(1)[1] == "=":
                key = self.next()[1]
                self.next("=")
                fields[key] = self.value()
            else:
                items.append(self.value())
            if self.peek()[1] in (",", ";"):
                self.next()
        self.next("}")
        if items and fields:
            raise ValueError("a table is a list or a map, not both")
        return fields or items


def read(folder):
    """The declarations of all files of the folder, in the order in which the engine has them."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".lua") and not name.endswith("_spec.lua"))
    return [declaration for name in names for declaration in read_file(os.path.join(folder, name))]


def read_file(path):
    """The list of declarations that the file returns."""
    with open(path, encoding="utf-8") as file:
        reader = _Reader(file.read())
    reader.next("return")
    value = reader.value()
    if reader.peek()[0] != "end":
        raise ValueError(f"{path}: something follows the table")
    return value
