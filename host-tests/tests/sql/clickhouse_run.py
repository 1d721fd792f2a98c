"""Runs SQL files of `examples/clickhouse` in one ClickHouse and prints what they answer, as one JSON object by file name.

Usage: clickhouse_run.py LOG COLUMN=VALUE... FILE...     on calls whose columns have these values

The events reach ClickHouse as Vector sends them: as rows of `tollgate.lines`. Decimals are texts with all their digits.
"""

import json
import pathlib
import sys
import tempfile

from chdb import session


def statements(path):
    """The statements of a file, without comments; none of them has a semicolon in a text."""
    lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("--"))
    return [one for one in (part.strip() for part in "\n".join(lines).split(";")) if one]


def shipped(log):
    """What Vector makes of a log: the events of its lines."""
    for line in map(json.loads, log.read_text().splitlines()):
        event = line.get("tollgate_event", line if "schema" in line else None)
        if event is not None:
            yield json.dumps({"event": event if isinstance(event, str) else json.dumps(event)})


def narrowed(column, value):
    return f"{column} = '{value}'".replace("'", "\\'")


def main(log, arguments):
    database = session.Session()
    filters = [narrowed(*argument.split("=", 1)) for argument in arguments if "=" in argument]
    settings = "output_format_json_quote_decimals = 1, output_format_json_quote_64bit_integers = 0"
    if filters:
        settings += ", additional_table_filters = {'tollgate.calls': '" + " AND ".join(filters) + "'}"
    answers = {}
    for path in (pathlib.Path(argument) for argument in arguments if "=" not in argument):
        for statement in statements(path):
            if statement.startswith("CREATE"):
                database.query(statement)
            else:
                answer = database.query(f"{statement} SETTINGS {settings}", "JSON")
                answers[path.stem] = json.loads(str(answer))["data"]
        if path.stem == "schema":
            with tempfile.NamedTemporaryFile("w", suffix=".json") as lines:
                lines.write("\n".join(shipped(pathlib.Path(log))))
                lines.flush()
                database.query(f"INSERT INTO tollgate.lines SELECT * FROM file('{lines.name}', 'JSONEachRow', 'event String')")
    print(json.dumps(answers))


main(sys.argv[1], sys.argv[2:])
