# SPDX-License-Identifier: MIT
"""Mutants of C source in this project's style: one small change each.

The source is read as tokens, not parsed: clang-format's spaces tell a binary operator
from a unary one, and a statement begins after `;`, `{`, `}`, a label or the head of an
`if` or a loop. What does not compile is for the compiler to say.
"""
import collections
import re

# A change of one file: what stands from start to end becomes new. The line counts
# from 1; kind is the sort of change, why the change in words.
Mutant = collections.namedtuple('Mutant', 'path line start end new kind why')

Token = collections.namedtuple('Token', 'text start end line spaced depth')

TOKEN = re.compile(r'''
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|\d[\d.]*)(?:[uUlL]*))
    |(?P<sign>->|\+\+|--|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|.)
    ''', re.X | re.M | re.S)

COMPARISONS = {'<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='], '>=': ['>', '<'],
               '==': ['!='], '!=': ['==']}
BINARY = {'&&': '||', '||': '&&', '+': '-', '-': '+', '<<': '>>', '>>': '<<', '&': '|',
          '|': '&', '%': '/', '/': '*', '*': '/'}
ASSIGNMENTS = {'+=': '-=', '-=': '+=', '|=': '&=', '&=': '|='}
WORDS = {'true': 'false', 'false': 'true'}
KEYWORDS = {'if', 'else', 'for', 'while', 'do', 'switch', 'case', 'default', 'return', 'goto',
            'break', 'continue', 'sizeof', 'struct', 'union', 'enum', 'static', 'const',
            'typedef', 'extern', 'void', 'unsigned', 'char', 'int', 'bool', 'volatile'}
# A line of the log is nobody's contract.
LOGS = {'gm_debug', 'gdrapi_log', 'fprintf'}


def tokens(text):
    """The tokens outside comments and preprocessor lines."""
    found, line, at, depth = [], 1, 0, 0
    for match in TOKEN.finditer(text):
        line += text.count('\n', at, match.start())
        at = match.start()
        if match.lastgroup == 'skip':
            continue
        sign = match.group()
        depth -= sign == '}'
        start, end = match.span()
        spaced = text[start - 1:start].isspace() and text[end:end + 1].isspace()
        found.append(Token(sign, start, end, line, spaced, depth))
        depth += sign == '{'
    return found


def closing(toks, first):
    """The index of the bracket that closes the one at first."""
    depth = 0
    for i in range(first, len(toks)):
        depth += toks[i].text in '([{' and len(toks[i].text) == 1
        depth -= toks[i].text in ')]}' and len(toks[i].text) == 1
        if not depth:
            return i
    return None


def semicolon(toks, first):
    """The index of the semicolon that ends the statement at first."""
    i = first
    while i is not None and i < len(toks):
        if toks[i].text == ';':
            return i
        if toks[i].text in ('{', '}'):
            return None
        i = closing(toks, i) + 1 if toks[i].text in ('(', '[') else i + 1
    return None


def heads(toks):
    """The brackets that close the head of an `if` or a loop."""
    found = set()
    for i, tok in enumerate(toks[:-1]):
        if tok.text in ('if', 'while', 'for', 'switch') and toks[i + 1].text == '(':
            found.add(closing(toks, i + 1))
    return found


def deletable(toks, first):
    """What sort of statement begins at first, if its removal leaves C behind."""
    word, follow = toks[first].text, toks[first + 1].text
    if word in ('break', 'continue', 'goto'):
        return word
    if word == '(' and follow == 'void':
        word, follow = toks[first + 3].text, toks[first + 4].text
    if word in LOGS or word in KEYWORDS:
        return None
    if word == '*' or follow in ('.', '->', '[', '=', '++', '--') or follow in ASSIGNMENTS:
        return 'statement'
    return 'call' if follow == '(' and re.match(r'\w', word) else None


class Source:
    """One file, and the mutants of it."""

    def __init__(self, path, text):
        self.path, self.text, self.found = path, text, []
        self.toks = [t for t in tokens(text)]

    def add(self, tok, end, new, kind, why):
        self.found.append(Mutant(self.path, tok.line, tok.start, end, new, kind, why))

    def swap(self, tok, new, kind):
        self.add(tok, tok.end, new, kind, f'{tok.text} -> {new}')

    def operator(self, tok):
        for new in COMPARISONS.get(tok.text, []) if tok.spaced else []:
            self.swap(tok, new, 'comparison')
        if tok.spaced and tok.text in BINARY:
            self.swap(tok, BINARY[tok.text],
                      'logic' if tok.text in ('&&', '||') else 'arithmetic')
        if tok.text in ASSIGNMENTS:
            self.swap(tok, ASSIGNMENTS[tok.text], 'arithmetic')
        if tok.text in WORDS:
            self.swap(tok, WORDS[tok.text], 'constant')
        if tok.text == '!':
            self.add(tok, tok.end, '', 'negation', '! removed')

    def constant(self, tok):
        match = re.fullmatch(r'(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)', tok.text)
        if not match:
            return
        value = int(match[1], 16 if match[1][:2] in ('0x', '0X') else 10)
        for other in {value + 1, value - 1 if value else 1}:
            self.swap(tok, f'{other}{match[2]}', 'constant')

    def condition(self, i):
        toks = self.toks
        if toks[i].text not in ('if', 'while') or toks[i + 1].text != '(':
            return
        last = closing(toks, i + 1)
        inner = self.text[toks[i + 1].end:toks[last].start]
        self.add(toks[i], toks[last].end, f'{toks[i].text} (!({inner}))', 'condition',
                 f'{toks[i].text} negated')

    def result(self, i):
        toks = self.toks
        if toks[i].text != 'return' or toks[i + 1].text == ';':
            return
        end = semicolon(toks, i)
        if end is None:
            return
        value = self.text[toks[i + 1].start:toks[end].start].strip()
        shown = ' '.join(value.split())[:40]
        if value in WORDS:
            return
        new = '-5' if value == '0' else '0'
        self.add(toks[i], toks[end].start, f'return {new}' + '\n' * value.count('\n'), 'return',
                 f'return {shown} -> return {new}')

    def statement(self, i, starts):
        toks = self.toks
        if not toks[i].depth or not starts:
            return
        kind = deletable(toks, i)
        end = semicolon(toks, i) if kind else None
        if end is None:
            return
        body = self.text[toks[i].start:toks[end].start]
        self.add(toks[i], toks[end].end, ';' + '\n' * body.count('\n'), 'deletion',
                 f"deleted: {' '.join(body.split())[:60]}")

    def mutants(self):
        ends = heads(self.toks)
        for i, tok in enumerate(self.toks[:-4]):
            before = self.toks[i - 1].text if i else ''
            if tok.text[0].isdigit():
                self.constant(tok)
            self.operator(tok)
            if tok.depth:
                self.condition(i)
                self.result(i)
            self.statement(i, before in (';', '{', '}', 'else', ':') or i - 1 in ends)
        return self.found


def of_file(path, text):
    """All mutants of a file."""
    return Source(path, text).mutants()


def apply(mutant, text):
    """The file's text with the change."""
    return text[:mutant.start] + mutant.new + text[mutant.end:]
