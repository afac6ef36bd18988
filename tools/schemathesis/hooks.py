"""What must be true of a request, and can't be said in JSON Schema? Schemathesis makes requests from the
OpenAPI document; here they are made true, or left out where they can't be.

Whether a request was meant to be right or wrong isn't asked: one that is wrong by its schema stays so.
"""

import json
import os
import re
import unicodedata
from datetime import date, timedelta
from urllib.parse import unquote

import schemathesis

BODY_BYTES = {"PUT": 1024, "POST": 4096}
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
REMINDER = r"P(?:[0-9]+W|[0-9]+D(?:T[0-9]+H)?|T[0-9]+H)"
REMINDERS = re.compile(f"{REMINDER}(?:,{REMINDER}){{0,4}}")
# What Schemathesis takes \p{L} and \p{M} for.
LETTERS_AND_MARKS = re.compile(
    "[a-zA-Z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u0483-\u0489\u1dc0-\u1dff\u20d0-\u20ff]"
)
ZONES = ["UTC", "Europe/Lisbon", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Etc/GMT+12"]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Without a file of tokens a service asks for none, so the document of that service has no security."""
    if not os.environ.get("TOKEN"):
        del raw_schema["components"]["securitySchemes"]
        for operations in raw_schema["paths"].values():
            for method in {"get", "put", "post", "delete"} & operations.keys():
                del operations[method]["security"]


@schemathesis.hook
def filter_case(context, case):
    # The token stands in a header, and a request with two is refused.
    has_second_token = isinstance(case.query, dict) and "token" in case.query
    return not has_second_token and is_short(case) and all(is_clear(name) for name in names(case))


@schemathesis.hook
def map_case(context, case):
    body, query = case.body, case.query
    if isinstance(body, dict) and "dateOfBirth" in body:
        body["dateOfBirth"] = in_the_past(body["dateOfBirth"])
    if isinstance(query, dict):
        for parameter, mend in [("tz", known_zone), ("remind", within_a_year), ("after", on_a_real_date)]:
            if parameter in query:
                query[parameter] = mend(query[parameter])
    return case


def is_short(case):
    """A schema can't count the bytes of a body, and keys that nobody knows make it any length."""
    if not isinstance(case.body, (dict, list, str)):
        return True
    return len(json.dumps(case.body).encode()) <= BODY_BYTES.get(case.method.upper(), 0)


def names(case):
    """Every text of a request that may be a name."""
    for part, key in [(case.path_parameters, "username"), (case.body, "username"), (case.query, "after")]:
        text = part.get(key) if isinstance(part, dict) else None
        if isinstance(text, str):
            text = unquote(text)
            place = text.split(".", 1)
            yield place[1] if DATE.fullmatch(place[0]) and len(place) == 2 else text


def is_clear(name):
    """Names are counted and kept in NFC, but a schema counts characters as they are sent; and Schemathesis
    takes blocks of Unicode for letters and marks. Some characters of these are not assigned, some that NFC
    makes are outside, and so are most letters of the world, which it then takes for wrong ones."""
    categories = [(character, unicodedata.category(character)) for character in name]
    assigned = all(category != "Cn" for _, category in categories)
    known = all(LETTERS_AND_MARKS.match(character) for character, category in categories if category[0] in "LM")
    return assigned and known and unicodedata.is_normalized("NFC", name)


def in_the_past(text):
    """A date of birth is before today. After 400 years every date comes again, 29 February too."""
    try:
        day = date.fromisoformat(text) if DATE.fullmatch(text) else None
    except (TypeError, ValueError):
        return text
    if day is None:
        return text
    while date.today() - timedelta(days=1) <= day:
        day = day.replace(year=day.year - 400)
    return day.isoformat()


def known_zone(text):
    """A zone is one of a list that is longer than a document should be."""
    if not isinstance(text, str) or not ZONE.fullmatch(text):
        return text
    return ZONES[sum(text.encode()) % len(ZONES)]


def within_a_year(text):
    """No reminder comes more than 366 days before the birthday."""
    if not isinstance(text, str) or not REMINDERS.fullmatch(text):
        return text
    return re.sub("[0-9]+", lambda number: str(int(number[0]) % 50), text)


def on_a_real_date(text):
    """Every month has 28 days."""
    if not isinstance(text, str) or not DATE.match(text):
        return text
    return re.sub("-(29|30|31)", "-28", text, count=1)
