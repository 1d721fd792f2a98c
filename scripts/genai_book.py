"""The pinned genai-prices package, installed on demand, and its data in Tollgate's form.

Shared by `prices.py` (writes the committed price data) and `price_oracle.py` (writes the differential test data).
Knows the package's types; must not know how the filter stores or looks up prices.
"""

import os
import re
import subprocess
import sys
import venv
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts" / "requirements-prices.txt"
VENV = ROOT / ".venv"

# What the filter can meter, by the package's price key. Everything else (audio hours, pages, characters, video,
# file and social searches) has no place in an LLM call's usage and is left out.
TOKEN_UNITS = {
    "input_mtok": "input",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "cache_read_mtok": "cache_read",
    "cache_audio_read_mtok": "cache_read_audio",
    "cache_image_read_mtok": "cache_read_image",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
UNITS = TOKEN_UNITS | {
    "output_citation_mtok": "citation",
    "web_searches_kcount": "web_search",
    "requests_kcount": "request",
}
# Priced by the package, not metered by the filter. A price key in neither table stops the script: decide first.
UNMETERED = {
    "audio_hours", "input_audio_hours", "input_annotated_document_kpages", "input_document_kpages", "input_mchars",
    "input_text_messages_kcount", "input_video_mtok", "output_video_mtok",
    "storage_searches_kcount",
}
# Nine decimals of USD per million tokens are whole femtodollars per token; finer digits are float noise.
NINE_DECIMALS = Decimal(1).scaleb(-9)


def use_pinned_package():
    """Continues in a virtual environment that holds exactly the pinned package."""
    python = VENV / "bin" / "python"
    if not python.exists():
        venv.create(VENV, with_pip=True)
    name, version = pinned()
    probe = f"import importlib.metadata as m; assert m.version('{name}') == '{version}'"
    if subprocess.run([python, "-c", probe], stderr=subprocess.DEVNULL).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS], check=True)
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])


def pinned():
    """Name and version of the pinned package."""
    return REQUIREMENTS.read_text().strip().split("==")


def write_or_check(target, text, checking):
    """Writes a generated file; when checking, exits with an error if it would change."""
    if checking and (not target.exists() or target.read_text() != text):
        sys.exit(f"{target.relative_to(ROOT)} is not what the pinned package gives: run this script without --check")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def rounded(price):
    """A price without float noise, at most nine decimals."""
    return price.quantize(NINE_DECIMALS, ROUND_HALF_EVEN).normalize()


def decimal_text(price):
    """A price as a plain decimal: `0.15`, `12`; never an exponent."""
    return f"{rounded(price):f}"


def tiers_of(price):
    """Base price and `(start, price)` tiers of a price, flat or tiered."""
    if isinstance(price, Decimal):
        return price, []
    return price.base, [(tier.start, tier.price) for tier in price.tiers]


def rates(model_price):
    """`{unit: "price"}`, or `{unit: ["price", [above, "price"], ...]}` where long contexts cost more."""
    found = {}
    for key, price in vars(model_price).items():
        if price is None or key in UNMETERED:
            continue
        base, tiers = tiers_of(price)
        text = decimal_text(base)
        found[UNITS[key]] = [text, *([start, decimal_text(tier)] for start, tier in tiers)] if tiers else text
    return {unit: found[unit] for unit in UNITS.values() if unit in found}


def constraint(value):
    """A price's condition: `{"from": date}`, `{"hours": "01:00-04:00"}` (UTC) or nothing."""
    if value is None:
        return {}
    if type(value).__name__ == "StartDateConstraint":
        return {"from": value.start_date.isoformat()}
    times = [value.start_time, value.end_time]
    if any(time.utcoffset() for time in times):
        raise SystemExit(f"time of day is not in UTC: {value}")
    return {"hours": "-".join(time.strftime("%H:%M") for time in times)}


def model_row(model):
    """One line of the committed data."""
    row = {"id": model.id}
    match = pattern(model.match)
    if match != model.id.lower():
        row["match"] = match
    prices = model.prices if isinstance(model.prices, list) else [model.prices]
    row["prices"] = [
        constraint(getattr(price, "constraint", None)) | rates(getattr(price, "prices", price)) for price in prices
    ]
    # Variants without prices of their own state that a tier is the standard one, which is the default anyway.
    variants = [
        {"when": variant.when} | constraint(variant.constraint) | rates(variant.prices)
        for variant in model.price_variants or ()
        if rates(variant.prices)
    ]
    return row | ({"variants": variants} if variants else {})


def pattern(clause):
    """A match clause in the data's notation.

    `name` equals, `name*` starts with, `*name` ends with, `*name*` contains; `#` is one digit. A list means any of
    them, `{"all": [...]}` all of them, `{"not": ...}` anything else. Everything is lower case, as the names it is
    compared with.
    """
    kind = type(clause).__name__
    if kind == "ClauseOr":
        parts = [pattern(part) for part in clause.or_]
        flat = [leaf for part in parts for leaf in (part if isinstance(part, list) else [part])]
        flat = list(dict.fromkeys(flat)) if all(isinstance(leaf, str) for leaf in flat) else flat
        return flat[0] if len(flat) == 1 else flat
    if kind == "ClauseAnd":
        return {"all": [pattern(part) for part in clause.and_]}
    if kind == "ClauseRegex":
        return regex_pattern(clause.regex)
    field = {
        "ClauseEquals": ("equals", "{}"),
        "ClauseStartsWith": ("starts_with", "{}*"),
        "ClauseEndsWith": ("ends_with", "*{}"),
        "ClauseContains": ("contains", "*{}*"),
    }[kind]
    text = getattr(clause, field[0]).lower()
    if set("*#") & set(text):
        raise SystemExit(f"a name contains a character of the notation: {text}")
    return field[1].format(text)


MISTRAL_NAMES = ["mistral", "codestral", "devstral", "magistral", "ministral", "mixtral", "pixtral", "voxtral",
                 "open-mistral", "open-mixtral"]
# Expressions with lookahead, translated by hand; the key must equal the package's text, so a change is noticed.
TRANSLATED = {
    r"^(?!.*-[tT][tT][sS](?:$|-))": {"not": ["*-tts", "*-tts-*"]},
    # The lookahead forbids a slash after the first character, and no listed name starts with one.
    r"^(?![^/]+/)(?:labs-)?(?:(?:mi|code|dev|magi|mini)stral|mixtral|pixtral|voxtral|open-(?:mistral|mixtral))": {
        "all": [{"not": "*/*"}, [f"{labs}{name}*" for labs in ("", "labs-") for name in MISTRAL_NAMES]]
    },
}
REGEX_PIECE = re.compile(
    r"\\d(?:\{(?P<digits>\d+)\})?|\\(?P<escaped>\W)|\[(?P<choice>[^\\\]]+)\]|\((?P<optional>[^()]*)\)\?|(?P<plain>[\w/=-])"
)


def regex_pattern(regex):
    """An anchored regular expression of literals, digits, choices and optional groups, spelled out."""
    if regex in TRANSLATED:
        return TRANSLATED[regex]
    if not regex.startswith("^"):
        raise SystemExit(f"cannot translate {regex}: it is not anchored")
    names = expand(regex[1:].removesuffix("$"), regex)
    names = [name if regex.endswith("$") else name + "*" for name in names]
    return names[0] if len(names) == 1 else names


def expand(rest, regex):
    """Every name that `rest` of `regex` stands for, digits as `#`."""
    names = [""]
    while rest:
        piece = REGEX_PIECE.match(rest)
        if not piece:
            raise SystemExit(f"cannot translate {regex}: stuck at {rest}")
        if piece["optional"] is not None:
            options = ["", *expand(piece["optional"], regex)]
        elif piece["choice"] is not None:
            options = list(piece["choice"])
        elif piece["escaped"] or piece["plain"]:
            options = [piece["escaped"] or piece["plain"]]
        else:
            options = ["#" * int(piece["digits"] or 1)]
        names = [name + option for name in names for option in options]
        rest = rest[piece.end():]
    return names
