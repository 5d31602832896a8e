"""The date, time and repetition phrases of quick-add text, by language.

Patterns match words in lower case without accents, separated by one space. Their named groups are
the parts of the meaning, so the same code reads all languages. `Strength` defines where in a line a
phrase counts: "5pm" is a time in "call Ann 5pm", but not in "the 5pm train".
"""

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

LANGUAGES: Final = ("en", "es")


class Strength(IntEnum):
    """Where a phrase counts. A greater value includes the places of the smaller ones."""

    WITH = 0  # only next to another phrase, or as the complete text
    LAST = 1  # also if only other phrases follow
    COMPLETE = 2  # also before punctuation, a mark or a word such as "with"
    FIRST = 3  # also at the beginning of the line
    ANYWHERE = 4


class Pattern(NamedTuple):
    """A phrase. `kind` is day, weekday, clock, part (of the day), repeat or ends."""

    kind: str
    strength: Strength
    regex: re.Pattern[str]


def _list(words: str) -> list[str]:
    return words.split()


_WEEKDAYS = {
    "en": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "es": ("lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo"),
}
_SHORT_WEEKDAYS = {
    "en": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "es": ("lun", "mar", "mie", "jue", "vie", "sab", "dom"),
}
_MORE_WEEKDAYS = {"tues": 1, "weds": 2, "thur": 3, "thurs": 3, "sabados": 5, "domingos": 6}
_MONTHS = {
    "en": (
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december"),
    ),
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto"),
        *("septiembre", "octubre", "noviembre", "diciembre"),
    ),
}
_NUMBER_WORDS = {
    "en": _list("one two three four five six seven eight nine ten eleven twelve"),
    "es": _list("uno dos tres cuatro cinco seis siete ocho nueve diez once doce"),
}

WEEKDAYS: Final = (
    _MORE_WEEKDAYS
    | {f"{name}s": number for number, name in enumerate(_WEEKDAYS["en"])}
    | {
        name: number
        for names in (*_WEEKDAYS.values(), *_SHORT_WEEKDAYS.values())
        for number, name in enumerate(names)
    }
)
MONTHS: Final = {"sept": 9, "setiembre": 9} | {
    name: number
    for months in _MONTHS.values()
    for number, month in enumerate(months, start=1)
    for name in (month, month[:3])
}
# Words after which a full stop does not end a sentence.
ABBREVIATIONS: Final = frozenset(
    {name for names in _SHORT_WEEKDAYS.values() for name in names}
    | {month[:3] for months in _MONTHS.values() for month in months}
    | {"sept", "tues", "weds", "thur", "thurs"}
)
NUMBERS: Final = {
    word: number for words in _NUMBER_WORDS.values() for number, word in enumerate(words, start=1)
}
OFFSETS: Final = {
    **dict.fromkeys(("today", "tonight", "hoy"), 0),
    **dict.fromkeys(("tomorrow", "tmrw", "tmr", "manana"), 1),
    **dict.fromkeys(("day after tomorrow", "pasado manana"), 2),
}
UNITS: Final = {
    **dict.fromkeys(("minute", "minutes", "min", "mins", "minuto", "minutos"), "minute"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "hora", "horas"), "hour"),
    **dict.fromkeys(("day", "days", "d", "dia", "dias", "daily", "diariamente", "diario"), "day"),
    **dict.fromkeys(("week", "weeks", "w", "semana", "semanas", "weekly"), "week"),
    **dict.fromkeys(("fortnightly", "biweekly"), "fortnight"),
    **dict.fromkeys(("month", "months", "mes", "meses", "monthly"), "month"),
    **dict.fromkeys(("quarter", "quarters", "quarterly", "trimestre", "trimestres"), "quarter"),
    **dict.fromkeys(("year", "years", "ano", "anos", "yearly", "annually"), "year"),
    "semanalmente": "week",
    "mensualmente": "month",
    "trimestralmente": "quarter",
    "anualmente": "year",
}
ORDINALS: Final = {
    **dict.fromkeys(("first", "1st", "primer", "primero"), 1),
    **dict.fromkeys(("second", "2nd", "segundo"), 2),
    **dict.fromkeys(("third", "3rd", "tercer", "tercero"), 3),
    **dict.fromkeys(("fourth", "4th", "cuarto"), 4),
    **dict.fromkeys(("fifth", "5th", "quinto"), 5),
    **dict.fromkeys(("last", "ultimo"), -1),
}
PRIORITIES: Final = {
    "en": {"low": "low", "medium": "medium", "high": "high", "critical": "critical"}
    | {"urgent": "critical"},
    "es": {"baja": "low", "media": "medium", "alta": "high", "critica": "critical"}
    | {"urgente": "critical"},
}


class DayPart(NamedTuple):
    """A part of the day, in hours that go on beyond 24 for the night after the named day.

    Its twelve-hour times are those from `first` on: with 17, "5" is 17:00, "12" is midnight and "4"
    is 04:00 of the next day.
    """

    default: int  # used if no time is named
    end: int
    first: int


# "Las 12 de la mañana" is noon; "12 in the morning" is midnight.
PARTS: Final = {
    "madrugada": DayPart(5, 6, first=0),
    **dict.fromkeys(("morning", "mornings"), DayPart(9, 12, first=0)),
    **dict.fromkeys(("manana", "mananas"), DayPart(9, 12, first=1)),
    **dict.fromkeys(("afternoon", "afternoons"), DayPart(15, 18, first=12)),
    **dict.fromkeys(("tarde", "tardes"), DayPart(17, 21, first=12)),
    **dict.fromkeys(("evening", "evenings"), DayPart(19, 22, first=13)),
    **dict.fromkeys(("night", "nights", "tonight", "noche", "noches"), DayPart(20, 24, first=17)),
}

# A phrase after one of these is not a due date: "the Friday report", "since Monday".
BLOCKED_BEHIND: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset(
        _list(
            "every each except excluding the a an my your his her its our their that these those"
            " same another one some any no"
            " not next ago last past previous since from after until till 'til to through thru than"
            " between of about like - black good cyber ash palm holy easter super giving"
            " shrove fat high"
        )
    ),
    "es": frozenset(
        _list(
            "el la los las un una mi tu su ese esa aquel del al de desde hasta tras pasado pasada"
            " ultimo ultima proximo sobre por sin entre excepto salvo menos como no hacia a cada"
            " calle plaza avenida"
        )
    ),
}
# Neither is a phrase before one of these: "el lunes pasado".
BLOCKED_BEFORE: Final = frozenset(
    _list("ago except excluding excepto salvo menos santo negro pasado pasada siguiente de")
)
RANGES: Final = frozenset(_list("to until till through thru - a al hasta"))
UNTIL: Final = frozenset(_list("until till through thru hasta"))
# Words that may follow a complete phrase.
FUNCTION_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset(
        _list(
            "about with for at in from to and or by on via when if because before after as but then"
            " re until without during while & - via w/"
        )
    ),
    "es": frozenset(
        _list("con para sobre en por y e o a sin que desde hasta si cuando antes al porque")
    ),
}


def _any(*words: Iterable[str]) -> str:
    return "|".join(sorted({word for group in words for word in group}, key=len, reverse=True))


_DAY = "3[01]|[12][0-9]|0?[1-9]"
_LATE_DAY = "3[01]|2[0-9]|1[3-9]"  # cannot be the number of a month
_MONTH_NUMBER = "1[0-2]|0?[1-9]"
_TH = "(?:st|nd|rd|th)"
_YEAR = "(?P<year>20[0-9][0-9])"
_ANY_YEAR = "(?P<year>20[0-9][0-9]|[2-9][0-9])"
_NUMBER = "[1-9][0-9]{0,2}"
_CLOCK = "(?P<hour>[0-9]{1,2}):(?P<minute>[0-9][0-9])"
_LATE_CLOCK = "(?P<hour>[0-9]{2}):(?P<minute>[0-9][0-9])"
_HALF = r"(?P<half>[ap])\.?m"
_FULL = {language: "|".join(_WEEKDAYS[language]) for language in LANGUAGES}
_SHORT = {
    "en": _any(_SHORT_WEEKDAYS["en"], ("tues", "weds", "thur", "thurs")),
    "es": _any(_SHORT_WEEKDAYS["es"]),
}
_EACH = {
    "en": f"(?:(?:{_FULL['en']})s?|{_SHORT['en']})",
    "es": f"(?:sabados|domingos|{_FULL['es']}|{_SHORT['es']})",
}
_SEPARATOR = {"en": "(?:,? and | & | |/)", "es": "(?: y | e | |/)"}
_DAYS = {
    language: f"{_EACH[language]}(?:{_SEPARATOR[language]}{_EACH[language]})"
    for language in LANGUAGES
}
_MONTH = {
    language: f"(?P<month>{_any(months, ('sept', 'setiembre'), [month[:3] for month in months])})"
    for language, months in _MONTHS.items()
}
_COUNT = {
    "en": f"(?P<amount>{_NUMBER}|an?|{_any(_NUMBER_WORDS['en'])})",
    "es": f"(?P<amount>{_NUMBER}|una?|{_any(_NUMBER_WORDS['es'])})",
}
_TIMES = {
    language: f"(?P<times>{_NUMBER}|{_any(_NUMBER_WORDS[language][1:])})" for language in LANGUAGES
}

A, F, C, L, W = (
    Strength.ANYWHERE,
    Strength.FIRST,
    Strength.COMPLETE,
    Strength.LAST,
    Strength.WITH,
)


def _table(*rows: tuple[str, Strength, str]) -> tuple[Pattern, ...]:
    return tuple(
        Pattern(kind, strength, re.compile(f"{regex}(?= |$)")) for kind, strength, regex in rows
    )


# Prepositions that belong to the day or time after them.
_ON = "(?:(?:on|by|due|due on|due by) )"
_FOR = "(?:(?:on|by|due|due on|due by|for|before) )"
_ISO = (
    "(?P<iso>20[0-9][0-9](?P<dash>[-/])[01][0-9](?P=dash)[0-3][0-9])"
    r"(?:t(?P<hour>[0-2][0-9]):(?P<minute>[0-5][0-9])(?::[0-5][0-9](?:\.[0-9]+)?)?"
    "(?P<offset>z|[+-][0-2][0-9]:?[0-5][0-9])?)?"
)
_EVERY = "(?:every|each)"
_OF_MONTH = "(?: of (?:the|each|every) month)"
_EVERY_MONTH = f"(?:{_EVERY} (?:{_TIMES['en']} |(?P<other>other) )?months?|monthly)"
_EVERY_YEAR = f"(?:{_EVERY} year|yearly|annually)"
_ORDINAL_WORD = "(?:first|1st|second|2nd|third|3rd|fourth|4th|fifth|5th|last)"
_ORDINAL = f"(?P<ordinal>{_ORDINAL_WORD})"
_NTH = f"(?P<nth>(?:[2-9]|[1-9][0-9]){_TH}|second|third|fourth|fifth)"
_MONTH_DAYS = f"(?P<month_days>(?:{_DAY}){_TH}(?:(?: and)?(?: the)? (?:{_DAY}){_TH})*)"
_PART = "(?P<part>morning|afternoon|evening|night)"

_ENGLISH = _table(
    # days
    ("day", A, f"{_FOR}?(?:the )?(?P<word>day after tomorrow)"),
    ("day", A, f"{_FOR}?(?P<word>today|tomorrow|tmrw|tmr)"),
    ("day", A, f"{_FOR}?(?P<word>tonight)"),
    ("day", A, "(?:(?:by|for|before) )?this (?P<this>morning|afternoon|evening)"),
    ("day", A, f"{_FOR}?(?P<week>next week)"),
    ("day", A, f"{_FOR}?(?P<whole_month>next month)"),
    ("day", A, f"{_FOR}?(?P<whole_year>next year)"),
    ("day", A, f"{_FOR}?(?P<weekend>this weekend|next weekend)"),
    ("day", C, "(?:on|at|over|by|for) the (?P<weekend>weekend)"),
    (
        *("day", A),
        rf"(?:in|within) {_COUNT['en']} "
        "(?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?)(?: time)?",
    ),
    ("day", A, "in (?P<half_hour>half an hour)"),
    ("day", A, f"{_COUNT['en']} (?P<unit>days?|weeks?|months?|years?) from (?:now|today)"),
    ("day", A, rf"[+](?P<amount>{_NUMBER})(?P<unit>d|w)"),
    ("day", A, f"{_FOR}?{_ISO}"),
    ("day", A, f"{_ON}(?:the )?(?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}(?: {_YEAR})?"),
    ("day", A, f"{_FOR}?(?:the )?(?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']} {_YEAR}"),
    ("day", C, f"{_FOR}?(?:the )?(?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}"),
    ("day", A, f"{_ON}{_MONTH['en']} (?:the )?(?P<day>{_DAY}){_TH}?(?: {_YEAR})?"),
    ("day", A, f"{_FOR}?{_MONTH['en']} (?P<day>{_DAY}){_TH}? {_YEAR}"),
    ("day", C, f"{_FOR}?{_MONTH['en']} (?P<day>{_DAY}){_TH}?"),
    ("day", A, f"{_FOR}?(?P<month>{_MONTH_NUMBER})/(?P<day>{_DAY})/{_ANY_YEAR}"),
    ("day", A, f"{_FOR}?(?P<day>{_LATE_DAY})/(?P<month>{_MONTH_NUMBER})/{_ANY_YEAR}"),
    ("day", C, f"{_FOR}(?P<month>{_MONTH_NUMBER})/(?P<day>{_DAY})"),
    ("day", C, f"{_FOR}(?P<day>{_LATE_DAY})/(?P<month>{_MONTH_NUMBER})"),
    ("day", C, f"(?P<month>{_MONTH_NUMBER})/(?P<day>{_LATE_DAY})"),
    ("day", W, f"(?P<month>{_MONTH_NUMBER})/(?P<day>{_DAY})"),
    ("day", W, f"(?P<day>{_LATE_DAY})/(?P<month>{_MONTH_NUMBER})"),
    ("day", C, f"{_FOR}(?:the )?(?P<month_day>{_DAY}){_TH}"),
    ("day", L, f"the (?P<month_day>{_DAY}){_TH}"),
    ("day", W, f"(?P<month_day>{_DAY}){_TH}"),
    ("day", W, f"(?P<bare_day>{_DAY})"),
    (
        *("day", C),
        "(?:(?:by|at|before|due|until) )?(?:the )?end of (?P<end>day|today)",
    ),
    (
        *("day", C),
        "(?:(?:by|at|before|due|on) )?(?:the )?(?:end|last day) of "
        "(?:the |this |(?P<end_of_next>next ))?(?P<end>week|month|year)",
    ),
    ("day", C, f"{_FOR}?(?P<end>eod|eow|eom|eoy)"),
    # weekdays
    ("weekday", A, f"(?:{_ON}(?:this )?|this )(?P<weekday>{_FULL['en']}|{_SHORT['en']})"),
    ("weekday", C, f"(?:for|before) (?P<weekday>{_FULL['en']}|{_SHORT['en']})"),
    ("weekday", A, f"{_FOR}?(?:this )?coming (?P<weekday>{_FULL['en']}|{_SHORT['en']})"),
    ("weekday", A, f"{_FOR}?next (?P<next>{_FULL['en']}|{_SHORT['en']})"),
    ("weekday", C, f"(?P<weekday>{_FULL['en']})"),
    ("weekday", L, f"(?P<weekday>{_SHORT['en']})"),
    # times
    ("clock", A, f"(?:at|by|for|before|@) @?{_CLOCK}(?: ?{_HALF})?"),
    ("clock", A, f"@{_CLOCK}(?: ?{_HALF})?"),
    ("clock", A, f"(?:at|by|for|before|@) @?(?P<hour>[0-9]{{1,2}}) ?{_HALF}"),
    ("clock", A, "(?:at|by|before) (?P<hour>[0-9]{1,2}) o'?clock"),
    ("clock", F, f"@?{_CLOCK} ?{_HALF}"),
    ("clock", F, rf"(?:at |by )?(?P<hour>[0-9]{{1,2}})\.(?P<minute>[0-9][0-9]) ?{_HALF}"),
    ("clock", F, f"@?(?P<hour>[0-9]{{1,2}}) ?{_HALF}"),
    ("clock", F, f"{_LATE_CLOCK}"),
    ("clock", W, f"{_CLOCK}"),
    ("clock", L, "at (?P<hour>[0-9]{1,2})"),
    ("clock", A, "(?:at|by|before) (?P<noon>noon|midday)"),
    ("clock", A, "(?:at|by|before) (?P<midnight>midnight)"),
    ("clock", W, "(?P<noon>noon|midday)"),
    ("clock", W, "(?P<midnight>midnight)"),
    ("part", W, f"(?:in the |at )?{_PART}"),
    # repeats
    (
        *("repeat", A),
        f"{_EVERY} (?:{_TIMES['en']} |(?P<other>other) )?"
        "(?P<unit>days?|weeks?|months?|quarters?|years?)",
    ),
    ("repeat", A, "once (?:a|per|every) (?P<unit>day|week|month|quarter|year)"),
    (
        *("repeat", A),
        f"(?:{_EVERY}|{_EVERY_MONTH} on the) (?P<ordinals>{_ORDINAL_WORD}(?: (?:and )?(?:the )?"
        f"{_ORDINAL_WORD})+) (?P<ordinal_day>{_EACH['en']}){_OF_MONTH}?",
    ),
    ("repeat", A, f"{_EVERY} {_NTH} (?P<unit>day|week|month|year)"),
    (
        *("repeat", A),
        f"{_EVERY} (?:{_TIMES['en']} weeks? on |week on |(?P<other>other) (?:week on )?)?"
        f"(?P<days>{_DAYS['en']}*)",
    ),
    ("repeat", A, f"weekly on (?P<days>{_DAYS['en']}*)"),
    ("repeat", A, f"(?P<unit>fortnightly|biweekly) on (?P<days>{_DAYS['en']}*)"),
    (
        *("repeat", A),
        f"{_EVERY} (?P<first_day>{_EACH['en']})(?: to | through | thru | - |-)"
        f"(?P<last_day_of_week>{_EACH['en']})",
    ),
    ("repeat", A, f"{_EVERY} (?P<workdays>weekday|workday|working day|business day)"),
    ("repeat", A, "on (?P<workdays>weekdays|workdays|working days)"),
    ("repeat", C, "(?P<workdays>weekdays|workdays)"),
    ("repeat", A, f"{_EVERY} (?P<weekends>weekend)"),
    ("repeat", A, "on (?P<weekends>weekends)"),
    ("repeat", A, f"{_EVERY} (?P<part>morning|afternoon|evening|night)"),
    ("repeat", A, f"{_EVERY} {_ORDINAL} (?P<ordinal_day>{_EACH['en']}){_OF_MONTH}?"),
    ("repeat", A, f"{_EVERY_MONTH} on (?:the )?{_ORDINAL} (?P<ordinal_day>{_EACH['en']})"),
    (
        *("repeat", A),
        f"(?:on )?(?:the )?{_ORDINAL} (?P<ordinal_day>{_EACH['en']}) of (?:each|every) month",
    ),
    ("repeat", A, f"{_EVERY_MONTH} on (?:the )?{_MONTH_DAYS}"),
    ("repeat", A, f"{_EVERY} {_MONTH_DAYS}{_OF_MONTH}"),
    ("repeat", C, f"{_EVERY} {_MONTH_DAYS}"),
    ("repeat", A, f"(?:on )?(?:the )?{_MONTH_DAYS} of (?:each|every) month"),
    (
        *("repeat", A),
        f"{_EVERY_MONTH} on day (?P<month_days>{_DAY})(?P<or_last>,? or the last day)?",
    ),
    ("repeat", A, f"{_EVERY_MONTH} on (?:the )?(?P<last_day>last day)"),
    ("repeat", A, f"{_EVERY} (?P<last_day>last day){_OF_MONTH}"),
    ("repeat", L, f"{_EVERY} (?P<last_day>last day)"),
    ("repeat", A, "(?:on )?(?:the )?(?P<last_day>last day) of (?:each|every) month"),
    ("repeat", A, f"{_EVERY} (?P<last_day>last day) of {_MONTH['en']}"),
    ("repeat", A, f"{_EVERY} (?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}"),
    ("repeat", A, f"{_EVERY} {_MONTH['en']} (?P<day>{_DAY}){_TH}?"),
    ("repeat", A, f"{_EVERY_YEAR} on (?:the )?(?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}"),
    ("repeat", A, f"{_EVERY_YEAR} on {_MONTH['en']} (?P<day>{_DAY}){_TH}?"),
    ("repeat", A, f"on (?P<days>(?:{_FULL['en']})s(?:{_SEPARATOR['en']}(?:{_FULL['en']})s)*)"),
    ("repeat", C, f"(?P<days>(?:{_FULL['en']})s(?:{_SEPARATOR['en']}(?:{_FULL['en']})s)*)"),
    ("repeat", A, f"on (?P<days>{_DAYS['en']}+)"),
    ("repeat", C, f"(?P<days>{_DAYS['en']}+)"),
    (
        *("repeat", L),
        "(?P<unit>daily|weekly|fortnightly|biweekly|monthly|quarterly|yearly|annually)",
    ),
    ("ends", W, f"(?:for )?(?P<count>{_NUMBER}) times?"),
)

_EL = "(?:(?:el|para|para el|antes del) )"
_PROXIMO = "(?:(?:el |este |para el )?proximo )"
_CADA_MES = f"(?:cada (?:{_TIMES['es']} )?mes(?:es)?|todos los meses|mensualmente)"
_CADA_ANO = "(?:cada ano|todos los anos|anualmente)"
_ORDINAL_ES = "(?P<ordinal>primer|segundo|tercer|cuarto|quinto|ultimo)"
_SURE_SHORT_ES = "lun|mie|jue|vie|sab|dom"  # "el mar" is the sea

_SPANISH = _table(
    # days
    ("day", A, "(?:para )?(?P<word>pasado manana|hoy(?! en dia)|manana)"),
    ("day", A, "(?:para )?esta (?P<this>noche|tarde|manana)"),
    ("day", A, "(?:para )?(?:la )?(?P<week>proxima semana|semana que viene)"),
    ("day", A, "(?:para )?(?:el )?(?P<whole_month>proximo mes|mes que viene)"),
    ("day", A, "(?:para )?(?:el )?(?P<whole_year>proximo ano|ano que viene)"),
    ("day", A, "(?:para )?(?P<weekend>este fin de semana|este finde)"),
    ("day", C, "(?:para )?el (?P<weekend>fin de semana|finde)"),
    ("day", A, "(?:el )?(?P<weekend>proximo fin de semana|fin de semana que viene)"),
    (
        *("day", A),
        rf"(?:en|dentro de|de aqui a) {_COUNT['es']} "
        "(?P<unit>minutos?|min|horas?|dias?|semanas?|mes|meses|anos?)",
    ),
    ("day", A, "(?:en|dentro de) (?P<half_hour>media hora)"),
    ("day", A, f"{_EL}(?P<day>{_DAY})(?: de)? {_MONTH['es']}(?:(?: del?)? {_YEAR})?"),
    ("day", A, f"(?P<day>{_DAY})(?: de)? {_MONTH['es']}(?: del?)? {_YEAR}"),
    ("day", C, f"(?P<day>{_DAY})(?: de)? {_MONTH['es']}"),
    ("day", A, f"{_EL}?(?P<day>{_DAY})/(?P<month>{_MONTH_NUMBER})/{_ANY_YEAR}"),
    ("day", C, f"{_EL}(?P<day>{_DAY})/(?P<month>{_MONTH_NUMBER})"),
    (
        *("day", L),
        f"(?!(?:1/[2-9]|2/3|3/4|24/7)(?: |$))(?P<day>{_DAY})/(?P<month>{_MONTH_NUMBER})",
    ),
    ("day", W, f"(?P<day>{_DAY})/(?P<month>{_MONTH_NUMBER})"),
    ("day", C, f"(?:el|para el|antes del) dia (?P<month_day>{_DAY})"),
    ("day", L, f"(?:el|para el|antes del) (?P<month_day>{_DAY})"),
    ("day", C, "(?:(?:a|para|antes de) )?(?:el )?(?:fin|final|finales) de (?P<end>mes|ano)"),
    # weekdays
    (
        *("weekday", A),
        f"(?:el|este|para el|antes del|{_PROXIMO}) ?"
        f"(?P<weekday>{_FULL['es']}|{_SURE_SHORT_ES})(?: que viene| proximo)?",
    ),
    ("weekday", A, f"{_PROXIMO}(?P<weekday>{_SHORT['es']})"),
    ("weekday", A, f"(?P<weekday>{_FULL['es']}) (?:que viene|proximo)"),
    ("weekday", C, f"(?P<weekday>{_FULL['es']})"),
    ("weekday", W, f"(?:el|este|para el) (?P<weekday>{_SHORT['es']})"),
    ("weekday", L, f"(?P<weekday>{_SHORT['es']})"),
    # times
    ("clock", A, f"a las? {_CLOCK}h?"),
    ("clock", A, "a las? (?P<hour>[0-9]{1,2})[h.](?P<minute>[0-9][0-9])h?"),
    ("clock", A, "a las? (?P<hour>[0-9]{1,2}) y (?P<half_past>media)"),
    ("clock", C, "(?P<hour>[0-9]{1,2})h(?P<minute>[0-9][0-9])"),
    ("clock", C, f"{_CLOCK}h"),
    ("clock", C, "(?:a las? )?(?P<hour>[0-9]{1,2}) ?h"),
    ("clock", C, "a las? (?P<hour>[0-9]{1,2})"),
    ("clock", A, "(?:al?|antes del) (?P<noon>mediodia)"),
    ("clock", A, "a (?P<midnight>medianoche)"),
    ("part", W, "(?:por|de|en|a) la (?P<part>manana|tarde|noche|madrugada)"),
    ("part", W, "de (?P<part>madrugada)"),
    # repeats
    (
        *("repeat", A),
        f"cada (?:{_TIMES['es']} )?(?P<unit>dias?|semanas?|mes|meses|trimestres?|anos?)",
    ),
    ("repeat", A, "tod[oa]s l[oa]s (?P<unit>dias|semanas|meses|trimestres|anos)"),
    ("repeat", A, "una vez (?:al?|por|cada)(?: la)? (?P<unit>dia|semana|mes|trimestre|ano)"),
    ("repeat", A, "cada (?P<nth>segundo|tercer|cuarto|quinto) (?P<unit>dia|mes|ano)"),
    (
        *("repeat", A),
        f"cada {_TIMES['es']} semanas (?:el |los |en )?(?P<days>{_DAYS['es']}*)",
    ),
    (
        *("repeat", A),
        f"(?:cada|todos los|los)(?: semana el)? (?P<days>{_DAYS['es']}*)",
    ),
    (
        *("repeat", A),
        f"(?:cada |todos los )?(?:de )?(?P<first_day>{_EACH['es']}) a "
        f"(?P<last_day_of_week>{_EACH['es']})",
    ),
    ("repeat", A, "(?P<workdays>entre semana|cada dia laborable|todos los dias laborables)"),
    ("repeat", A, "(?P<weekends>cada fin de semana|todos los fines de semana)"),
    ("repeat", A, "cada (?P<part>manana|tarde|noche|madrugada)"),
    ("repeat", A, "todas las (?P<part>mananas|tardes|noches)"),
    ("repeat", A, f"cada {_ORDINAL_ES} (?P<ordinal_day>{_EACH['es']})(?: del? (?:cada )?mes)?"),
    ("repeat", A, f"{_CADA_MES} el {_ORDINAL_ES} (?P<ordinal_day>{_EACH['es']})"),
    ("repeat", A, f"(?:el )?{_ORDINAL_ES} (?P<ordinal_day>{_EACH['es']}) de cada mes"),
    ("repeat", A, f"(?:cada|el) dia (?P<month_days>{_DAY})(?: de cada mes)"),
    ("repeat", A, f"el (?P<month_days>{_DAY}) de cada mes"),
    ("repeat", A, f"cada dia (?P<month_days>{_DAY})"),
    (
        *("repeat", A),
        f"{_CADA_MES} el (?:dia )?(?P<month_days>{_DAY})(?P<or_last>,? o el ultimo(?: dia)?)?",
    ),
    ("repeat", A, f"{_CADA_MES} el (?P<last_day>ultimo dia)"),
    ("repeat", A, "cada (?P<last_day>ultimo dia)(?: del mes)?"),
    ("repeat", A, "(?:el )?(?P<last_day>ultimo dia) de cada mes"),
    ("repeat", A, f"cada (?P<last_day>ultimo dia) de {_MONTH['es']}"),
    ("repeat", A, f"cada (?P<day>{_DAY})(?: de)? {_MONTH['es']}"),
    ("repeat", A, f"{_CADA_ANO} el (?P<day>{_DAY})(?: de)? {_MONTH['es']}"),
    ("repeat", C, f"(?P<days>{_DAYS['es']}+)"),
    (
        *("repeat", L),
        "(?:a )?(?P<unit>diario|diariamente|semanalmente|mensualmente|trimestralmente|anualmente)",
    ),
    ("ends", W, f"(?:durante )?(?P<count>{_NUMBER}) ve(?:z|ces)"),
)

PATTERNS: Final[Mapping[str, tuple[Pattern, ...]]] = {"en": _ENGLISH, "es": _SPANISH}
