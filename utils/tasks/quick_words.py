"""The words for days, times and repetitions that a line of `quick` may have, by language.

As they are compared: in small letters, without accents, one space between them. A group of a
pattern names what was found, so that all languages are understood by the same code.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

LANGUAGES: Final = ("en", "es")

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

WEEKDAYS: Final = _MORE_WEEKDAYS | {
    name: number
    for names in (*_WEEKDAYS.values(), *_SHORT_WEEKDAYS.values())
    for number, name in enumerate(names)
}
MONTHS: Final = {"sept": 9, "setiembre": 9} | {
    name: number
    for months in _MONTHS.values()
    for number, month in enumerate(months, start=1)
    for name in (month, month[:3])
}
OFFSETS: Final = {"today": 0, "tomorrow": 1, "hoy": 0, "manana": 1, "pasado manana": 2}
UNITS: Final = {
    **dict.fromkeys(("minute", "minutes", "min", "mins", "minuto", "minutos"), "minute"),
    **dict.fromkeys(("hour", "hours", "hora", "horas"), "hour"),
    **dict.fromkeys(("day", "days", "d", "dia", "dias", "daily"), "day"),
    **dict.fromkeys(("week", "weeks", "w", "semana", "semanas", "weekly"), "week"),
    **dict.fromkeys(("month", "months", "mes", "meses", "monthly"), "month"),
    **dict.fromkeys(("year", "years", "ano", "anos", "yearly"), "year"),
}
ORDINALS: Final = {
    **dict.fromkeys(("first", "1st", "primer"), 1),
    **dict.fromkeys(("second", "2nd", "segundo"), 2),
    **dict.fromkeys(("third", "3rd", "tercer"), 3),
    **dict.fromkeys(("fourth", "4th", "cuarto"), 4),
    **dict.fromkeys(("last", "ultimo"), -1),
}
PRIORITIES: Final = {
    "en": {"low": "low", "medium": "medium", "high": "high", "critical": "critical"}
    | {"urgent": "critical"},
    "es": {"baja": "low", "media": "medium", "alta": "high", "critica": "critical"}
    | {"urgente": "critical"},
}


Patterns = Mapping[str, tuple[re.Pattern[str], ...]]  # by language


def _any(*words: Iterable[str]) -> str:
    return "|".join(sorted({word for some in words for word in some}, key=len, reverse=True))


def _all(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(f"{pattern}(?= |$)") for pattern in patterns)


_DAY = "3[01]|[12][0-9]|0?[1-9]"
_TH = "(?:st|nd|rd|th)"
_YEAR = "(?P<year>20[0-9][0-9])"
_NUMBER = "[1-9][0-9]{0,2}"
_HOUR = "(?P<hour>[0-9]{1,2})"
_MINUTE = "(?P<minute>[0-9][0-9])"
_IN = {language: "|".join(_WEEKDAYS[language]) for language in LANGUAGES}
_SHORT = {
    "en": _any(_SHORT_WEEKDAYS["en"], ("tues", "weds", "thur", "thurs")),
    "es": _any(_SHORT_WEEKDAYS["es"]),
}
_EACH = {
    "en": f"(?:{_IN['en']}|{_SHORT['en']})",
    "es": f"(?:sabados|domingos|{_IN['es']}|{_SHORT['es']})",
}
_MONTH = {
    language: f"(?P<month>{_any(months, ('sept',), [month[:3] for month in months])})"
    for language, months in _MONTHS.items()
}
_ON = "(?:(?:on|by|due) )?"
_EL = "(?:(?:el|para|para el|antes del) )?"

# What can mean nothing else, wherever it stands.
DATES: Final[Patterns] = {
    "en": _all(
        f"{_ON}(?P<word>today|tomorrow)",
        f"{_ON}(?:this )?(?P<weekday>{_IN['en']})",
        f"(?:on|by|due|this) (?P<weekday>{_SHORT['en']})",
        f"{_ON}next (?P<next>{_EACH['en']})",
        f"{_ON}(?P<week>next week)",
        f"{_ON}(?P<whole_month>next month)",
        rf"in (?P<amount>{_NUMBER}|an?|one) "
        "(?P<unit>minutes?|mins?|hours?|days?|weeks?|months?|years?)",
        rf"[+](?P<amount>{_NUMBER})(?P<unit>d|w)",
        f"{_ON}(?:the )?(?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}(?: {_YEAR})?",
        f"{_ON}{_MONTH['en']} (?P<day>{_DAY}){_TH}?(?: {_YEAR})?",
        f"{_ON}(?P<iso>20[0-9][0-9]-[0-9][0-9]-[0-9][0-9])",
    ),
    "es": _all(
        f"{_EL}(?P<word>pasado manana|hoy|manana)",
        f"{_EL}(?:proximo )?(?P<coming>{_IN['es']})(?: que viene| proximo)?",
        f"(?:el|para el|antes del|proximo) (?P<weekday>{_SHORT['es']})",
        "(?P<week>(?:la )?(?:proxima semana|semana que viene))",
        "(?P<whole_month>(?:el )?(?:proximo mes|mes que viene))",
        rf"(?:en|dentro de) (?P<amount>{_NUMBER}|una?) "
        "(?P<unit>minutos?|min|horas?|dias?|semanas?|mes|meses|anos?)",
        f"{_EL}(?P<day>{_DAY})(?: de)? {_MONTH['es']}(?:(?: de)? {_YEAR})?",
        f"{_EL}(?P<day>{_DAY})/(?P<month>1[0-2]|0?[1-9])(?:/{_YEAR})?",
    ),
}
TIMES: Final[Patterns] = {
    "en": _all(
        f"(?:at )?@?{_HOUR}:{_MINUTE}(?: ?(?P<half>am|pm))?",
        f"(?:at )?@?{_HOUR} ?(?P<half>am|pm)",
        f"at {_HOUR}",
    ),
    "es": _all(
        f"(?:a las? )?{_HOUR}[:h]{_MINUTE}h?",
        f"(?:a las? )?{_HOUR} ?h",
        f"a las? {_HOUR}",
    ),
}
REPEATS: Final[Patterns] = {
    "en": _all(
        f"every (?:(?P<times>{_NUMBER}) |(?P<other>other) )?(?P<unit>days?|weeks?|months?|years?)",
        f"every (?:(?P<times>{_NUMBER}) weeks? on |week on |(?P<other>other) )?"
        f"(?P<days>{_EACH['en']}(?: (?:and )?{_EACH['en']})*)",
        "every (?P<workdays>weekday|workday|working day)",
        "every (?P<ordinal>first|1st|second|2nd|third|3rd|fourth|4th|last) "
        f"(?P<ordinal_day>{_EACH['en']})(?: of the month)?",
        f"every (?:month on the )?(?P<month_day>{_DAY}){_TH}(?: of the month)?",
        f"every month on day (?P<month_day>{_DAY})",
        "every (?:month on the )?(?P<last_day>last day)(?: of the month)?",
        f"every (?P<day>{_DAY}){_TH}?(?: of)? {_MONTH['en']}",
        f"every {_MONTH['en']} (?P<day>{_DAY}){_TH}?",
    ),
    "es": _all(
        f"cada (?:(?P<times>{_NUMBER}) )?(?P<unit>dias?|semanas?|mes|meses|anos?)",
        "tod[oa]s l[oa]s (?P<unit>dias|semanas|meses|anos)",
        f"cada (?P<times>{_NUMBER}) semanas (?:el |los )?"
        f"(?P<days>{_EACH['es']}(?:(?: y)? {_EACH['es']})*)",
        f"(?:cada|todos los) (?P<days>{_EACH['es']}(?: (?:y )?{_EACH['es']})*)",
        "(?P<workdays>entre semana|cada dia laborable|todos los dias laborables)",
        "cada (?P<ordinal>primer|segundo|tercer|cuarto|ultimo) "
        f"(?P<ordinal_day>{_EACH['es']})(?: del mes)?",
        f"(?:cada|el) dia (?P<month_day>{_DAY})(?: de cada mes)",
        f"cada (?:mes el )?dia (?P<month_day>{_DAY})",
        "cada (?:mes el )?(?P<last_day>ultimo dia)(?: del mes)?",
        f"cada (?P<day>{_DAY})(?: de)? {_MONTH['es']}",
    ),
}

# What is understood only where nothing else follows: "sun" in "buy sun cream" is no Sunday.
SHORT_DATES: Final[Patterns] = {
    language: _all(f"(?P<weekday>{_SHORT[language]})") for language in LANGUAGES
}
SHORT_REPEATS: Final[Patterns] = {
    "en": _all("(?P<unit>daily|weekly|monthly|yearly)"),
    "es": (),
}
