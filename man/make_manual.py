#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a manual page of a C header's comments.

usage: make_manual.py HEADER TEMPLATE EXAMPLE VERSION OUT

The template has all that belongs to no declaration. In it @NAMES@, @SYNOPSIS@,
@DESCRIPTION@ (the @file comment), @REFERENCE@ (each declaration, below the heading
of the last @name comment) and @EXAMPLE@ (a program) stand for lines, @VERSION@ for
the version.

Comments are plain text. Lines that begin with a tab are literal; a line indented by
two or three blanks begins an item of a list, and its first word is what it explains.
Without a comment, or with other @param than its parameters, a declaration is an error.
"""
import os
import re
import sys
import textwrap

DOC = re.compile(r"^/\*\*(?P<doc>.*?)\*/\n"
                 r"(?P<decl>(?:#define [^\n]*\n)+|struct \w+ \{.*?^\};|[a-z][^;]*;)?",
                 re.M | re.S)
MEMBER = re.compile(r"(?:/\*\*(?P<before>[^<].*?)\*/\s*)?"
                    r"(?P<type>[a-z][\w ]*) (?P<name>\**\w+(?:\[\w+\])?);"
                    r"(?:\s*/\*\*<(?P<after>.*?)\*/)?", re.S)
PROTOTYPE = re.compile(r"(?P<type>[\w ]*[ *])(?P<name>\w+)\((?P<params>.*)\);$")


def plain_lines(doc):
    """A comment's lines without the stars."""
    return [re.sub(r"^\s*\* ?", "", line).rstrip() for line in doc.strip().split("\n")]


def text(words):
    """Running text, a sentence a line or more."""
    words = " ".join(words.split()).replace("\\", "\\e")
    words = re.sub(r"(?<![\w\\-])-(?=E[A-Z]{2})", r"\\-", words)
    words = re.sub(r"\b(gpumem_\w+)\(\)", r"\\fB\1\\fR()", words)
    words = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", words)
    rows = []
    for sentence in re.split(r"(?<=[^.]\.) (?=[^a-z])", words):
        rows += textwrap.wrap(sentence, 80, break_long_words=False, break_on_hyphens=False)
    return ["\\&" + row if row[0] in ".'" else row for row in rows]


def tagged(items):
    """A list: pairs of a macro with what it explains, and rows."""
    rows = [".Bl -tag -width Ds"]
    for tag, body in items:
        rows += [".It " + tag, *body]
    return rows + [".El"]


def item_tag(word):
    return f"Bq Er {word}" if re.match(r"-E[A-Z]+$", word) else f"Cm {word}"


def paragraphs(lines):
    """The rows of a comment, .Pp between what is separated by empty lines."""
    blocks = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    rows = []
    for block in filter(None, blocks):
        if all(line.startswith("\t") for line in block):
            literal = [line[1:].replace("\\", "\\e") for line in block]
            rows += [".Bd -literal -offset indent", *literal, ".Ed"]
            continue
        rows += [".Pp"] if rows else []
        words, items = [], []
        for line in block:
            indent = len(line) - len(line.lstrip(" "))
            if 2 <= indent <= 3:
                items.append(line.split(None, 1))
            elif items and indent:
                items[-1][1] += " " + line.strip()
            elif items:
                raise ValueError(f"no blank line before: {line}")
            else:
                words.append(line)
        rows += text(" ".join(words)) if words else []
        if items:
            rows += tagged((item_tag(tag), text(body)) for tag, body in items)
    return rows


class Declaration:
    """A comment and what it is about."""

    def __init__(self, doc, decl):
        self.lines = plain_lines(doc)
        self.decl = " ".join((decl or "").split())
        self.raw = decl or ""
        self.params, self.result = [], []
        self.names = re.findall(r"#define (\w+)", self.raw)
        if self.names:
            self.kind = "macro"
        elif "{" in self.decl:
            self.kind, self.names = "struct", [self.decl.split(" {")[0]]
        elif self.decl.startswith("struct ") and "(" not in self.decl:
            self.kind, self.names = "handle", [self.decl.rstrip(";")]
        elif PROTOTYPE.match(self.decl):
            self.kind = "function"
            self.match_prototype()
        else:
            self.kind = "text"

    def match_prototype(self):
        match = PROTOTYPE.match(self.decl)
        self.type, self.names = match["type"].strip(), [match["name"]]
        self.fields = [p.strip() for p in match["params"].split(",")]
        self.split_tags()
        want = [re.search(r"\w+$", p)[0] for p in self.fields if p != "void"]
        have = [name for name, _ in self.params]
        if want != have:
            raise ValueError(f"{self.names[0]}: the parameters are {want}, @param has {have}")

    def split_tags(self):
        body, to = [], None
        for line in self.lines:
            if match := re.match(r"@param (\w+)\s+(.*)", line):
                self.params.append((match[1], [match[2]]))
                to = self.params[-1][1]
            elif line.startswith("@return "):
                to = self.result
                to.append("Returns " + line[len("@return "):])
            elif to is None:
                body.append(line)
            elif line:
                to.append(line)
        self.lines = body

    def synopsis(self):
        rows = [f".Ft {self.type}"]
        if self.fields == ["void"]:
            return rows + [f".Fn {self.names[0]} void"]
        return rows + [f".Fo {self.names[0]}", *(f'.Fa "{p}"' for p in self.fields), ".Fc"]

    def function(self):
        rows = [f".Ss {self.names[0]}()", *paragraphs(self.lines)]
        if self.params:
            rows += tagged((f"Fa {name}", text(" ".join(body))) for name, body in self.params)
        if self.result:
            # Further lines of a text that has no list are no items.
            if not any(re.match(r"  ?-E", line) for line in self.result[1:]):
                self.result = [" ".join(line.strip() for line in self.result) + "."]
            rows += [".Pp", *paragraphs(self.result)]
        return rows

    def struct(self):
        body = re.sub(r"/\*[^*].*?\*/", "", self.raw[self.raw.index("{"):], flags=re.S)
        members = []
        for match in MEMBER.finditer(body):
            doc = match["before"] or match["after"]
            if not doc:
                raise ValueError(f"{self.names[0]}: {match['name']} has no comment")
            members.append((f'Vt "{match["type"]}" Fa {match["name"]}',
                            text(" ".join(plain_lines(doc)))))
        if len(members) != re.sub(r"/\*.*?\*/", "", body, flags=re.S).count(";") - 1:
            raise ValueError(f"{self.names[0]}: a member was not understood")
        return [f".Ss {self.names[0]}", *paragraphs(self.lines), *tagged(members)]


def listed(run):
    """Macros or handles that follow each other: one list below one heading."""
    names = [name for one in run for name in one.names]
    common = os.path.commonprefix(names)
    if run[0].kind == "handle":
        heading = "Handles"
    else:
        heading = names[0] if len(names) == 1 else common[:common.rindex("_") + 1] + "*"
    macro = "Vt" if run[0].kind == "handle" else "Dv"
    return [f".Ss {heading}", *tagged(
        (f" , {macro} ".join([f"{macro} {one.names[0]}", *one.names[1:]]), paragraphs(one.lines))
        for one in run)]


def reference(declarations):
    rows, run = [], []
    for one in [*declarations, None]:
        if run and (one is None or one.kind != run[0].kind):
            rows += listed(run)
            run = []
        if one is None:
            break
        if one.kind in ("macro", "handle"):
            run.append(one)
        elif one.kind == "text":
            title = one.lines[0].removeprefix("@name ")
            rows += [f".Sh {title.upper()}", *paragraphs(one.lines[1:])]
        else:
            rows += one.function() if one.kind == "function" else one.struct()
    return rows


def check_complete(header, declarations):
    """Everything that the header declares has a comment."""
    bare = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    declared = re.findall(r"^#define (GPUMEM_\w+) .", bare, re.M)
    declared += re.findall(r"^struct \w+(?=[ ;{]*[;{])", bare, re.M)
    declared += re.findall(r"^[a-z][^;({]*?(\w+)\(", bare, re.M)
    known = {name for one in declarations for name in one.names}
    if missing := [name for name in declared if name not in known]:
        raise ValueError("no comment: " + ", ".join(missing))


def main():
    source, template, example, version, target = sys.argv[1:]
    with open(source, encoding="ascii") as file:
        header = file.read()
    with open(template, encoding="ascii") as file:
        page = file.read()
    with open(example, encoding="ascii") as file:
        program = file.read().replace("\\", "\\e").rstrip("\n").split("\n")
    try:
        declarations = [Declaration(m["doc"], m["decl"]) for m in DOC.finditer(header)]
        check_complete(header, declarations)
        functions = [one for one in declarations if one.kind == "function"]
        names = [one.names[0] for one in functions]
        about = [one for one in declarations if one.lines[0].startswith("@file")]
        parts = {
            "NAMES": [f".Nm {name} ," for name in names[:-1]] + [f".Nm {names[-1]}"],
            "SYNOPSIS": [row for one in functions for row in one.synopsis()],
            "DESCRIPTION": paragraphs(about[0].lines[1:]),
            "REFERENCE": reference([one for one in declarations if one not in about]),
            "EXAMPLE": [".Bd -literal", *program, ".Ed"],
        }
    except ValueError as error:
        sys.exit(f"{source}: {error}")
    for name, rows in parts.items():
        page = page.replace(f"@{name}@\n", "\n".join(rows) + "\n")
    with open(target, "w", encoding="ascii") as file:
        file.write(page.replace("@VERSION@", version))


if __name__ == "__main__":
    main()
