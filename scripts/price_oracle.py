"""Writes the differential test data: what the real genai-prices package answers.

    python3 scripts/price_oracle.py           write plugin/core/testdata/price-oracle.jsonl
    python3 scripts/price_oracle.py --check   fail when the committed file differs

The first line holds the usage profiles. Then one question a line: provider `p`, model name `m`, time `t` (default: a
Wednesday noon), terms and usage profile `u` (default: text), and the package's answer: the `row` that matched and the
exact `cost` in dollars, or neither. The sample is deterministic
and covers every model that a name can reach, every price period and context tier, every variant, and names that
almost match. Prices are rounded to nine decimals first, as in the committed data.
"""

import json
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, getcontext

import genai_book as book

TARGET = book.ROOT / "plugin" / "core" / "testdata" / "price-oracle.jsonl"
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)

# Disjoint buckets, as in `usage.rs`. Primes, so that no two mistakes cancel out.
PROFILES = {
    "text": {"input_uncached": 1009, "cache_read": 211, "cache_write_5m": 307, "cache_write_1h": 401, "output": 503,
             "reasoning": 101},
    "media": {"input_uncached": 1009, "input_audio": 613, "cache_read": 211, "cache_read_audio": 109,
              "output": 503, "output_audio": 127},
    "image": {"input_uncached": 1009, "input_image": 701, "cache_read": 211, "cache_read_image": 113,
              "output": 503, "output_image": 131},
    "search": {"input_uncached": 1009, "output": 503, "web_searches": 7},
    "long": {"input_uncached": 600011, "cache_read": 20011, "cache_write_5m": 3001, "output": 503},
}
# The package's inclusive counters, by the buckets they include.
COUNTERS = {
    "input_tokens": ("input_uncached", "input_audio", "input_image", "cache_read", "cache_read_audio",
                     "cache_read_image", "cache_write_5m", "cache_write_1h"),
    "input_audio_tokens": ("input_audio", "cache_read_audio"),
    "input_image_tokens": ("input_image", "cache_read_image"),
    "cache_read_tokens": ("cache_read", "cache_read_audio", "cache_read_image"),
    "cache_audio_read_tokens": ("cache_read_audio",),
    "cache_image_read_tokens": ("cache_read_image",),
    "cache_write_tokens": ("cache_write_5m", "cache_write_1h"),
    "cache_write_1h_tokens": ("cache_write_1h",),
    "output_tokens": ("output", "reasoning", "output_audio", "output_image"),
    "output_reasoning_tokens": ("reasoning",),
    "output_audio_tokens": ("output_audio",),
    "output_image_tokens": ("output_image",),
    "web_searches": ("web_searches",),
}


def package_usage(profile, usage_type):
    counts = {counter: sum(profile.get(b, 0) for b in buckets) for counter, buckets in COUNTERS.items()}
    return usage_type(**{counter: count for counter, count in counts.items() if count})


def price_sets(model):
    """Every price set of a model: standard ones over time, then variants."""
    standard = model.prices if isinstance(model.prices, list) else [model.prices]
    return [getattr(price, "prices", price) for price in standard] + [v.prices for v in model.price_variants or ()]


def round_prices(providers):
    """Rounds every price in place, as the committed data does."""
    for provider in providers:
        for model in provider.models:
            for prices in price_sets(model):
                for key, price in vars(prices).items():
                    if isinstance(price, Decimal):
                        setattr(prices, key, book.rounded(price))
                    elif price is not None:
                        price.base = book.rounded(price.base)
                        for tier in price.tiers:
                            tier.price = book.rounded(tier.price)


def instants(constraints):
    """Times on both sides of every condition, and one noon when there is none."""
    found = {NOON} if not constraints else {NOON, NOON.replace(year=2024)}
    for item in constraints:
        if hasattr(item, "start_date"):
            start = datetime.combine(item.start_date, time(12), tzinfo=UTC)
            found |= {start - timedelta(days=1), start, start.replace(hour=0)}
        else:
            for edge in (item.start_time, item.end_time):
                at = datetime.combine(date(2026, 11, 18), edge)
                # Wednesday, the Saturday after it, and a day before the price began.
                found |= {at - timedelta(minutes=1), at, at + timedelta(days=3), at.replace(month=8, day=5)}
    return sorted(found)


def names(clause):
    """Names a match clause accepts, and names that almost match."""
    kind = type(clause).__name__
    if kind in ("ClauseOr", "ClauseAnd"):
        parts = clause.or_ if kind == "ClauseOr" else clause.and_
        return [name for part in parts for name in names(part)]
    if kind == "ClauseRegex":
        written = book.regex_pattern(clause.regex)
        shapes = [shape for shape in (written if isinstance(written, list) else [written]) if isinstance(shape, str)]
        concrete = [shape.replace("########", "20260712").replace("####-##-##", "2026-07-12") for shape in shapes]
        concrete = [name.replace("#", "7").replace("*", "7x") for name in concrete]
        return [variant for name in concrete for variant in (name, name + "1")]
    text = next(iter(vars(clause).values()))
    near = {"ClauseEquals": f"{text}~", "ClauseStartsWith": f"x{text}", "ClauseEndsWith": f"{text}~",
            "ClauseContains": text[:-1]}[kind]
    hit = {"ClauseEquals": text, "ClauseStartsWith": f"{text}~v9", "ClauseEndsWith": f"v9~{text}",
           "ClauseContains": f"v9~{text}~v9"}[kind]
    return [hit, near]


class Oracle:
    def __init__(self, providers, snapshot, usage_type):
        self.providers, self.snapshot, self.usage_type = providers, snapshot, usage_type
        self.lines, self.covered = [], set()

    def find(self, provider, name):
        try:
            return self.snapshot.find_provider_model(name, None, provider, None)
        except LookupError:
            return None

    def ask(self, provider, name, at=NOON, terms=None, profile="text"):
        """Writes a question and its answer."""
        question = {"p": provider, "m": name}
        if at != NOON:
            question["t"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        if profile != "text":
            question["u"] = profile
        if terms:
            question["terms"] = terms
        found = self.find(provider, name)
        if found:
            owner, model = found
            prices = model.get_prices(at)
            question["row"] = model.id
            if any(getattr(prices, key) is not None for key in book.TOKEN_UNITS):
                usage = package_usage(PROFILES[profile], self.usage_type)
                answer = model.calc_price(usage, owner, genai_request_timestamp=at, price_context=terms)
                question["cost"] = f"{answer.total_price.normalize():f}"
        self.lines.append(question)

    def cover(self, provider, model):
        """Every price of one model."""
        name = next((n for n in [model.id, *names(model.match)] if (f := self.find(provider.id, n)) and f[1] is model), None)
        if name is None:
            return
        self.covered.add((provider.id, model.id))
        standard = model.prices if isinstance(model.prices, list) else []
        variants = model.price_variants or []
        keys = {key for prices in price_sets(model) for key in vars(prices)}
        profiles = ["text"]
        profiles += ["media"] if any("audio_mtok" in key or "audio_read" in key for key in keys) else []
        profiles += ["image"] if any("image" in key for key in keys) else []
        profiles += ["search"] if keys & {"web_searches_kcount"} else []
        tiered = any(hasattr(price, "tiers") for prices in price_sets(model) for price in vars(prices).values())
        profiles += ["long"] if tiered else []
        for at in instants([c.constraint for c in standard if c.constraint]):
            for profile in profiles if at == NOON else profiles[:1]:
                self.ask(provider.id, name, at, None, profile)
        for terms in {json.dumps(variant.when, sort_keys=True): variant.when for variant in variants}.values():
            for profile in profiles:
                self.ask(provider.id, name, NOON, terms, profile)
            for at in instants([v.constraint for v in variants if v.when == terms and v.constraint]):
                if at != NOON:
                    self.ask(provider.id, name, at, terms)

    def match(self, provider, model):
        """Which names reach which model."""
        for name in dict.fromkeys(names(model.match)):
            if name.lower() != model.id.lower():
                self.ask(provider.id, name)
        for name in dict.fromkeys([model.id, *names(model.match)[:1]]):
            if "/" not in name and provider.model_match is not None:
                self.ask(None, name)


def main():
    book.use_pinned_package()
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import Usage

    getcontext().prec = 60
    round_prices(providers)
    oracle = Oracle(providers, DataSnapshot(providers, False), Usage)
    for provider in providers:
        for model in provider.models:
            oracle.cover(provider, model)
            # A marketplace's names are all alike: equality with its own id, which `cover` asks for.
            if provider.id != "openrouter" or len(names(model.match)) > 2:
                oracle.match(provider, model)
        for seller in provider.fallback_model_providers or ():
            models = next(p for p in providers if p.id == seller).models
            for model in models[:: max(1, len(models) // 20)]:
                oracle.ask(provider.id, model.id, terms={"service_tier": "priority"})
    rows = [json.dumps(line, separators=(",", ":"), ensure_ascii=False) for line in [PROFILES, *oracle.lines]]
    rows = list(dict.fromkeys(rows))
    book.write_or_check(TARGET, "\n".join(rows) + "\n", "--check" in sys.argv)
    unreachable = [f"{p.id}/{m.id}" for p in providers for m in p.models if (p.id, m.id) not in oracle.covered]
    print(f"{len(rows) - 1} questions; {len(oracle.covered)} models, unreachable by any name: {unreachable}")


if __name__ == "__main__":
    main()
