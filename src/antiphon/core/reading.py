"""Reads written text aloud: what a synthesizer is given for each chunk of markdown-flavoured text.

A chunk is what stands between spaces ("**Hello,**", "$5", "[docs](https://example.com)"), or one character of a script
that has no spaces. Markup and emoji are left out; symbols, amounts, units, addresses and paths become words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from antiphon.core.lexicon import Names

MAX_PATH_CHARS = 30
"""The path of a web address is read up to this length; nobody wants to hear a longer one."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """``text`` ends at ``end`` in the clause's source."""

    text: str
    end: int
    spaced: bool
    """There is a space before it."""
    line_start: bool
    """It is the first of its line."""


_PLAIN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*[.,;:!?]?")
_LIST_NUMBER = re.compile(r"(\d{1,3})[.)]")
_LINE_MARKS = re.compile(r"#{1,6}|[-*+•‣·–]|>+")
_RULE = re.compile(r"[-*_=|:]{3,}|\|[-:|]+|\[[ xX]?\]")
_EMOTICON = re.compile(r"[:;=][-o']?[)(DPp/|\\*oO]+|<3|xD|\^_*\^")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u00a9\u00ae\u2122"  # pictures and their like
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]"  # what joins and varies them
)
_PREFIX = re.compile(r"[\"'“‘«„({\[¿¡]+")
_SUFFIX = re.compile(r"[.,;:!?…\"'”’»)}\]]+$")
_SPACES = re.compile(r"\s+")

_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\]\(\S*\)"), ""),  # the target of a link
    (re.compile(r"(?<=[\w.,;!?])\[\^?\d+\]"), ""),  # a footnote
    (re.compile(r"!\[|[\[\]`]|~~"), ""),
    (re.compile(r"</?(?!https?:)[A-Za-z][^<>]*>"), ""),  # a tag
    (re.compile(r"^<(?=\w)|(?<=\w)>$"), ""),  # an address in angle brackets
    (re.compile(r"\\(?=[^\w\s])"), ""),  # an escape
    (re.compile(r"(?<!\d)\*+|\*+(?!\d)"), ""),  # emphasis; the star of 2*3 stays
    (re.compile(r"(?<![^\W_])_+|_+(?![^\W_])"), ""),
)


def list_number(chunk: Chunk) -> bool:
    """Whether the chunk numbers an item of a list."""
    return chunk.line_start and _LIST_NUMBER.fullmatch(chunk.text) is not None


def read_aloud(chunks: Sequence[Chunk], names: Names) -> tuple[str, tuple[tuple[int, int], ...]]:
    """What is spoken for the chunks of one clause, and a mark for each chunk.

    A mark is where the chunk ends in the spoken text and where it ends in the source. Text without anything to say
    gives an empty string.
    """
    spoken = ""
    marks = []
    for index, chunk in enumerate(chunks):
        before = chunks[index - 1].text if index else ""
        after = chunks[index + 1].text if index + 1 < len(chunks) else ""
        spoken = _join(spoken, _read(chunk, before, after, names), chunk.spaced)
        marks.append((len(spoken), chunk.end))
    if not any(map(str.isalnum, spoken)):
        return "", tuple((0, end) for _, end in marks)
    return spoken, tuple(marks)


def _join(spoken: str, words: str, spaced: bool) -> str:
    if not words:
        return spoken
    if words[0] in ",.;:!?…)" and not any(map(str.isalnum, words)):
        return spoken + words if spoken and spoken[-1].isalnum() else spoken
    return f"{spoken} {words}" if spoken and (spaced or spoken[-1] == ",") else spoken + words


def _read(chunk: Chunk, before: str, after: str, names: Names) -> str:
    text = chunk.text
    if _PLAIN.fullmatch(text) and text.rstrip(".,;:!?") not in names.words_after_numbers:
        return text
    if chunk.line_start:
        if _LINE_MARKS.fullmatch(text):
            return ""
        if number := _LIST_NUMBER.fullmatch(text):
            return number[1] + ","
    if _RULE.fullmatch(text) or _EMOTICON.fullmatch(text):
        return ""
    if text in _ALONE or text in names.symbols:
        return _read_alone(text, before, after, names)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = _EMOJI.sub("", text)
    prefix = match[0] if (match := _PREFIX.match(text)) else ""
    text = text[len(prefix) :]
    suffix = match[0] if (match := _SUFFIX.search(text)) else ""
    core = text[: len(text) - len(suffix)]
    return _SPACES.sub(" ", prefix + _read_core(core, before, after, names) + suffix).strip()


_ALONE = frozenset({"-", "–", "—", "--", "|", "||", "•", "·"})


def _read_alone(text: str, before: str, after: str, names: Names) -> str:
    """A symbol with spaces around it."""
    between_numbers = before[-1:].isdigit() and after[:1].isdigit()
    if between_numbers and text in "-–—":
        return names.symbols.get("−", text) if text == "-" else names.to
    if text in _ALONE:
        return "," if after else ""
    if text in "*#" and not between_numbers:
        return ""
    return names.symbols.get(text, text)


_NUMBER = r"\d+(?:[.,:]\d+)*"
_CURRENCY = "[$€£¥₹]"
_IS_NUMBER = re.compile(rf"[-−~]?{_NUMBER}(?:[-–]{_NUMBER})?")


def _read_core(core: str, before: str, after: str, names: Names) -> str:
    if not core:
        return ""
    if core in names.units and _IS_NUMBER.fullmatch(before):
        return names.units[core]
    if core in names.magnitudes and _AMOUNT_BEFORE.match(before):
        return f"{names.magnitudes[core]} {names.currencies.get(before[0], ('', '', ''))[1]}".strip()
    for pattern, read in _SHAPES:
        if (match := pattern.fullmatch(core)) and (words := read(match, after, names)):
            return words
    return _read_word(core, names)


_AMOUNT_BEFORE = re.compile(rf"{_CURRENCY}{_NUMBER}$")
_DOT_IN_WORD = re.compile(r"(?<=[^\W\d_]{2})\.(?=[^\W\d_]{2})|^\.(?=[^\W\d_])")
_SLASH_IN_WORD = re.compile(r"(?<=[^\W\d_])/(?=[^\W\d_])")
_DASHES = re.compile(r"\s*(?:—|–|\|)+")


def _read_word(core: str, names: Names) -> str:
    """Anything that has no shape of its own."""
    if core.isalnum():
        return core
    core = _DASHES.sub(", ", core)
    core = _SLASH_IN_WORD.sub(" ", core).replace("_", " ").replace("→", f" {names.to or '→'} ")
    if names.dot:
        core = _DOT_IN_WORD.sub(f" {names.dot} ", core)
    for symbol in "&@%°":
        if symbol in core and symbol in names.symbols:
            core = core.replace(symbol, f" {names.symbols[symbol]} ")
    return core


def _read_number(digits: str, names: Names) -> str:
    """Without the separators of thousands, which simple engines take for a pause or for decimals."""
    mark = names.thousands
    if mark and re.fullmatch(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+(?:[.,]\d+)?", digits):
        return digits.replace(mark, "")
    return digits


def _spell(address: str, names: Names) -> str:
    """An address, its punctuation in words."""
    for symbol, word in (("://", ""), (".", names.dot), ("/", names.slash), ("-", names.dash), ("@", names.at)):
        if word and symbol in address:
            address = address.replace(symbol, f" {word} ")
    return address.replace("_", f" {names.underscore} ").replace("\\", " ")


def _url(match: re.Match[str], after: str, names: Names) -> str:
    host, _, path = re.split(r"[?#]", match["rest"])[0].rstrip("/").partition("/")
    return _spell(f"{host}/{path}" if path and len(path) <= MAX_PATH_CHARS else host, names)


def _address(match: re.Match[str], after: str, names: Names) -> str:
    return _spell(match[0], names)


def _money(match: re.Match[str], after: str, names: Names) -> str:
    currency = match["sign"] or match["sign_after"]
    if not currency or currency not in names.currencies:
        return ""
    one, more, hundredths = names.currencies[currency]
    amount, end, magnitude = match["amount"], match["end"], match["magnitude"]
    if _SUFFIX.sub("", after) in names.magnitudes:
        return _read_number(amount, names)  # "$5 million": the next chunk says the currency
    whole, _, rest = amount.rpartition(".")
    if whole and len(rest) == 2 and rest.isdigit() and hundredths and not end and not magnitude:
        parts = [f"{_read_number(whole, names)} {one if whole == '1' else more}"] if whole != "0" else []
        parts += [f"{int(rest)} {hundredths}"] if int(rest) else []
        return f" {names.symbols.get('&', '')} ".join(parts) or f"0 {more}"
    words = [_read_number(amount, names)]
    words += [names.to, _read_number(end, names)] if end else []
    words += [names.magnitudes.get(magnitude, magnitude)] if magnitude else []
    return " ".join([*words, one if words == ["1"] else more])


def _quantity(match: re.Match[str], after: str, names: Names) -> str:
    unit = match["unit"]
    if unit and unit not in names.units:
        return ""
    if match["end"] and not names.to:
        return ""
    sign = names.symbols.get("−", "") if match["sign"] in ("-", "−") else names.symbols.get(match["sign"], "")
    words = [sign or match["sign"], _read_number(match["amount"], names)]
    words += [names.to, _read_number(match["end"], names)] if match["end"] else []
    return " ".join([*words, names.units.get(unit, "")]).strip()


def _clock(match: re.Match[str], after: str, names: Names) -> str:
    if not names.clock:
        return ""
    hour, minute, half = int(match[1]), int(match[2]), match[3]
    if minute == 0:
        before_half = half or (after[:1].lower() in ("a", "p") and after[1:2].lower() in ("m", "."))
        spoken = f"{hour}" if before_half else f"{hour} o'clock"
    else:
        spoken = f"{hour} {minute}" if minute > 9 else f"{hour} oh {minute}"
    return f"{spoken} {half.upper()}" if half else spoken


def _version(match: re.Match[str], after: str, names: Names) -> str:
    return f" {names.point} ".join(match[0].split(".")) if names.point else ""


def _sum(match: re.Match[str], after: str, names: Names) -> str:
    return re.sub(r"[+*×÷=]", lambda sign: f" {names.symbols.get(sign[0], sign[0])} ", match[0])


def _tag(match: re.Match[str], after: str, names: Names) -> str:
    return match[1]


def _programming(match: re.Match[str], after: str, names: Names) -> str:
    return f"{match[1]} {'sharp' if match[2] == '#' else 'plus plus'}"


def _handle(match: re.Match[str], after: str, names: Names) -> str:
    return f"{names.at} {match[1]}".strip()


_Reader = Callable[[re.Match[str], str, Names], str]

_SHAPES: tuple[tuple[re.Pattern[str], _Reader], ...] = (
    (re.compile(r"(?:[a-z][a-z0-9+.-]*://(?:www\.)?|www\.)(?P<rest>\S+)", re.IGNORECASE), _url),
    (re.compile(r"(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _address),
    (re.compile(r"(?P<rest>(?:[a-z][\w-]*\.)+[a-z]{2,}(?:/\S*))", re.IGNORECASE), _url),
    (re.compile(r"(?:~|\.{1,2})?(?:/[\w.~-]+)+/?|[A-Za-z]:\\\S*|[\w.-]+(?:/[\w.-]+)*/[\w-]+\.\w+"), _address),
    (re.compile(r"([01]?\d|2[0-3]):([0-5]\d)([ap]m)?", re.IGNORECASE), _clock),
    (
        re.compile(
            rf"(?P<sign>{_CURRENCY})?(?P<amount>{_NUMBER})(?:[-–](?P<end>{_NUMBER}))?"
            rf"(?P<magnitude>k|K|m|M|bn|B)?(?P<sign_after>{_CURRENCY})?"
        ),
        _money,
    ),
    (re.compile(r"v?\d+(?:\.\d+){2,}"), _version),
    (
        re.compile(rf"(?P<sign>[-−~<>≤≥≈±+#№§]?)(?P<amount>{_NUMBER})(?:–(?P<end>{_NUMBER}))?(?P<unit>[%°a-zA-Z/²]*)"),
        _quantity,
    ),
    (re.compile(r"\d[\d.]*(?:[+*×÷=]\d[\d.]*)+"), _sum),
    (re.compile(r"#(\w+)"), _tag),
    (re.compile(r"([A-Z])(#|\+\+)"), _programming),
    (re.compile(r"@(\w+)"), _handle),
)
"""Read from the top; the first shape that fits the whole core and has words in the language decides."""
