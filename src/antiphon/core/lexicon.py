"""Words that reading aloud needs: abbreviations, and what a symbol is called in a language. Data, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

# Abbreviations are written here in lower case, without their last dot. A single letter and letters with dots between
# them ("J.", "U.S.", "z.B.") need no entry: they never end a sentence, except those in MAY_END.

_NEVER_END = """
    mr mrs ms mx dr prof rev hon gen col capt cpt lt sgt maj cmdr adm gov sen rep pres messrs mme mlle mt ft st hr
    fr sra srta dra dott ssa sig ing ud uds vd vs cf approx est ca bzw ggf evtl inkl exkl vgl sog pág
"""
NEVER_END = frozenset(_NEVER_END.split())
"""A name or an explanation follows, so the dot never ends a sentence."""

_MAY_END = """
    etc inc ltd co corp bros jr sr llc dept ave blvd rd a.m p.m b.c a.d usw ecc mon tue tues wed thu thur thurs fri
    sat sun
"""
MAY_END = frozenset(_MAY_END.split())
"""They end a sentence when a capital follows."""

_BEFORE_NUMBER = """
    no nos nr num art fig figs p pp vol ch chap sec sect eq ver par tab núm n jan feb mar apr jun jul aug sep sept
    oct nov dec
"""
BEFORE_NUMBER = frozenset(_BEFORE_NUMBER.split())
"""With a number after it an abbreviation, else a word at the end of a sentence ("No.")."""

_CONNECTIVES = """
    and but or nor so because since although though while when where which who whose that if unless until before
    after with without for from into und aber oder weil dass wenn während mit ohne für et mais ou parce que quand
    avec sans pour y pero o porque que cuando con sin para e ma perché che quando senza per
"""
CONNECTIVES = frozenset(_CONNECTIVES.split())
"""Words before which a speaker may take breath: where a clause that grew too long is cut."""


@dataclass(frozen=True, slots=True)
class Names:
    """What symbols are called in one language. An empty name leaves the symbol to the engine."""

    dot: str = ""
    at: str = ""
    slash: str = ""
    dash: str = ""
    underscore: str = ""
    point: str = ""
    """Between the numbers of a version."""
    to: str = ""
    """Between the ends of a range."""
    symbols: dict[str, str] = field(default_factory=dict)
    """Symbols that stand alone, or before or after a number."""
    currencies: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """One of it, more of it, its hundredths."""
    magnitudes: dict[str, str] = field(default_factory=dict)
    """Words and letters that may stand between an amount and its currency."""
    units: dict[str, str] = field(default_factory=dict)
    """Units after a number."""
    thousands: str = ""
    """The separator of groups of three digits, which is left out."""
    clock: bool = False
    """Times are read the English way."""
    words_after_numbers: frozenset[str] = field(init=False)
    """Units and magnitudes: what reads like a word and may mean something else after a number."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "words_after_numbers", frozenset(self.units) | frozenset(self.magnitudes))


_ENGLISH = Names(
    dot="dot",
    at="at",
    slash="slash",
    dash="dash",
    underscore="underscore",
    point="point",
    to="to",
    symbols={
        "&": "and",
        "+": "plus",
        "=": "equals",
        "%": "percent",
        "@": "at",
        "<": "less than",
        ">": "greater than",
        "≤": "at most",
        "≥": "at least",
        "≈": "about",
        "~": "about",
        "±": "plus or minus",
        "×": "times",
        "*": "times",
        "÷": "divided by",
        "−": "minus",
        "#": "number",
        "№": "number",
        "§": "section",
        "°": "degrees",
        "→": "to",
        "->": "to",
        "=>": "to",
        "-->": "to",
        "≠": "is not",
        "!=": "is not",
        "==": "equals",
        "½": "one half",
        "¼": "one quarter",
        "¾": "three quarters",
    },
    currencies={
        "$": ("dollar", "dollars", "cents"),
        "€": ("euro", "euros", "cents"),
        "£": ("pound", "pounds", "pence"),
        "¥": ("yen", "yen", ""),
        "₹": ("rupee", "rupees", "paise"),
    },
    magnitudes={
        "thousand": "thousand",
        "million": "million",
        "billion": "billion",
        "trillion": "trillion",
        "k": "thousand",
        "K": "thousand",
        "m": "million",
        "M": "million",
        "bn": "billion",
        "B": "billion",
    },
    units={
        "%": "percent",
        "°": "degrees",
        "°C": "degrees Celsius",
        "°F": "degrees Fahrenheit",
        "km": "kilometers",
        "cm": "centimeters",
        "mm": "millimeters",
        "m²": "square meters",
        "km²": "square kilometers",
        "km/h": "kilometers per hour",
        "m/s": "meters per second",
        "mph": "miles per hour",
        "kg": "kilograms",
        "mg": "milligrams",
        "lb": "pounds",
        "lbs": "pounds",
        "oz": "ounces",
        "ml": "milliliters",
        "mL": "milliliters",
        "kB": "kilobytes",
        "KB": "kilobytes",
        "MB": "megabytes",
        "GB": "gigabytes",
        "TB": "terabytes",
        "Hz": "hertz",
        "kHz": "kilohertz",
        "MHz": "megahertz",
        "GHz": "gigahertz",
        "kW": "kilowatts",
        "kWh": "kilowatt hours",
        "ms": "milliseconds",
        "min": "minutes",
    },
    thousands=",",
    clock=True,
)

_GERMAN = Names(
    dot="Punkt",
    at="ät",
    slash="Schrägstrich",
    dash="Strich",
    underscore="Unterstrich",
    point="Punkt",
    to="bis",
    symbols={"&": "und", "+": "plus", "=": "gleich", "%": "Prozent", "°": "Grad", "×": "mal", "§": "Paragraf"},
    currencies={"$": ("Dollar", "Dollar", ""), "€": ("Euro", "Euro", ""), "£": ("Pfund", "Pfund", "")},
    magnitudes={"Millionen": "Millionen", "Milliarden": "Milliarden"},
    units={"%": "Prozent", "°": "Grad", "°C": "Grad Celsius", "km": "Kilometer", "kg": "Kilogramm", "cm": "Zentimeter"},
    thousands=".",
)

_FRENCH = Names(
    dot="point",
    at="arobase",
    slash="slash",
    dash="tiret",
    underscore="tiret bas",
    point="point",
    to="à",
    symbols={"&": "et", "+": "plus", "=": "égale", "%": "pour cent", "°": "degrés", "×": "fois"},
    currencies={"$": ("dollar", "dollars", ""), "€": ("euro", "euros", ""), "£": ("livre", "livres", "")},
    magnitudes={"millions": "millions de", "milliards": "milliards de"},
    units={"%": "pour cent", "°": "degrés", "°C": "degrés Celsius", "km": "kilomètres", "kg": "kilos"},
)

_SPANISH = Names(
    dot="punto",
    at="arroba",
    slash="barra",
    dash="guion",
    underscore="guion bajo",
    point="punto",
    to="a",
    symbols={"&": "y", "+": "más", "=": "igual a", "%": "por ciento", "°": "grados", "×": "por"},
    currencies={"$": ("dólar", "dólares", ""), "€": ("euro", "euros", ""), "£": ("libra", "libras", "")},
    magnitudes={"millones": "millones de"},
    units={"%": "por ciento", "°": "grados", "°C": "grados centígrados", "km": "kilómetros", "kg": "kilos"},
)

_ITALIAN = Names(
    dot="punto",
    at="chiocciola",
    slash="barra",
    dash="trattino",
    underscore="trattino basso",
    point="punto",
    to="a",
    symbols={"&": "e", "+": "più", "=": "uguale", "%": "per cento", "°": "gradi", "×": "per"},
    currencies={"$": ("dollaro", "dollari", ""), "€": ("euro", "euro", ""), "£": ("sterlina", "sterline", "")},
    magnitudes={"milioni": "milioni di", "miliardi": "miliardi di"},
    units={"%": "per cento", "°": "gradi", "°C": "gradi Celsius", "km": "chilometri", "kg": "chili"},
)

_NAMES = {"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH, "es": _SPANISH, "it": _ITALIAN}
_UNKNOWN = Names()


def names_in(language: str) -> Names:
    """The names in a BCP 47 language, by its first subtag. For others symbols are left to the engine."""
    return _NAMES.get(language.replace("_", "-").split("-")[0].lower(), _UNKNOWN)
