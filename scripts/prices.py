"""Writes the committed price data from the pinned genai-prices package, and says what changed.

    python3 scripts/prices.py           write plugin/core/src/price/data/prices.json
    python3 scripts/prices.py --check   fail when the committed file is not what the pinned package says

To update prices: raise the version in requirements-prices.txt, run this, run price_oracle.py, read the changes.
"""

import json
import sys

import genai_book as book

TARGET = book.ROOT / "plugin" / "core" / "src" / "price" / "data" / "prices.json"


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def provider_head(provider):
    head = {"id": provider.id}
    if provider.provider_match:
        head["provider_match"] = book.pattern(provider.provider_match)
    if provider.model_match:
        head["model_match"] = book.pattern(provider.model_match)
    if provider.fallback_model_providers:
        head["fallback"] = provider.fallback_model_providers
    return head


def render(providers):
    """The data file: one model a line, providers and models in the package's order, which decides who matches."""
    blocks = []
    for provider in providers:
        head = compact(provider_head(provider))[:-1]
        models = ",\n".join(compact(book.model_row(model)) for model in provider.models)
        blocks.append(f'{head},"models":[\n{models}\n]}}')
    return '{"source":"%s","providers":[\n%s\n]}\n' % (" ".join(book.pinned()), ",\n".join(blocks))


def models(text):
    """`{(provider, model): row}`; a repeated id gets a number."""
    rows = {}
    for provider in json.loads(text)["providers"]:
        for model in provider["models"]:
            key = (provider["id"], model["id"])
            while key in rows:
                key = (key[0], key[1] + "'")
            rows[key] = model
    return rows


def report(before, after):
    """Prints models added and removed and prices changed."""
    old, new = models(before) if before else {}, models(after)
    for key in sorted(old.keys() | new.keys()):
        name = "/".join(key)
        if key not in old:
            print(f"added    {name}  {compact(new[key]['prices'])}")
        elif key not in new:
            print(f"removed  {name}")
        else:
            for field in ("prices", "variants", "match"):
                was, now = old[key].get(field), new[key].get(field)
                if was != now:
                    print(f"changed  {name}  {field}: {compact(was)} -> {compact(now)}")


def main():
    book.use_pinned_package()
    from genai_prices.data import providers

    before = TARGET.read_text() if TARGET.exists() else ""
    after = render(providers)
    if before != after:
        report(before, after)
    book.write_or_check(TARGET, after, "--check" in sys.argv)
    print(f"{'=='.join(book.pinned())}: {len(models(after))} models, {len(after.encode())} bytes")


if __name__ == "__main__":
    main()
