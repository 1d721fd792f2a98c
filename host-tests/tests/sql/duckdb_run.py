"""Runs SQL files of `examples/sql` in one DuckDB and prints what they answer, as one JSON object by file name.

Usage: run.py LOG NAME=VALUE... FILE...     with variables as a user sets them (`log` is LOG)

Decimals become texts with all their digits, so that nothing is rounded on the way.
"""

import datetime
import decimal
import json
import pathlib
import sys

import duckdb


def plain(value):
    match value:
        case decimal.Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case dict():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
    return value


def main(log, arguments):
    database = duckdb.connect()
    database.execute("SET VARIABLE log = $1", [log])
    answers = {}
    for argument in arguments:
        name, is_variable, value = argument.partition("=")
        if is_variable:
            database.execute(f"SET VARIABLE {name} = $1", [value])
            continue
        path = pathlib.Path(argument)
        answer = database.execute(path.read_text())
        columns = [column[0] for column in answer.description or []]
        answers[path.stem] = [dict(zip(columns, map(plain, row))) for row in answer.fetchall()]
    print(json.dumps(answers))


main(sys.argv[1], sys.argv[2:])
