"""The same records in SQLite with indexes: loads them once, then answers and times questions.

Reads lines from stdin. Loading: `record SEQ\tAT\tTYPE\tJSON` and `term TABLE\tTERM\tSEQ`, then
`done`. Asking: a line of JSON, `{"sql": ..., "args": [...]}`; answers with a line of JSON, the
nanoseconds of execution and fetching, and the first column of the rows.
"""

import json
import os
import sqlite3
import sys
import time

TABLES = "repository tag digest actor rule vulnerability verdict reason".split()


def load(db):
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA temp_store = FILE")
    db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, at TEXT, type TEXT, json TEXT)")
    for table in TABLES:
        db.execute(f"CREATE TABLE loose_{table} (term TEXT, seq INTEGER)")
    waiting = {}

    def flush():
        for table, rows in waiting.items():
            marks = ",".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        waiting.clear()

    count = 0
    for line in sys.stdin:
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "done":
            break
        if kind == "record":
            waiting.setdefault("events", []).append(rest.split("\t", 3))
            count += 1
            if count % 50000 == 0:
                flush()
        else:
            table, term, seq = rest.split("\t")
            waiting.setdefault(f"loose_{table}", []).append((term, int(seq)))
    flush()
    db.execute("CREATE INDEX by_type ON events (type, seq)")
    db.execute("CREATE INDEX by_time ON events (at)")
    for table in TABLES:
        db.execute(
            f"CREATE TABLE {table} (term TEXT, seq INTEGER, PRIMARY KEY (term, seq)) WITHOUT ROWID"
        )
        db.execute(
            f"INSERT OR IGNORE INTO {table} SELECT term, seq FROM loose_{table} ORDER BY term, seq"
        )
        db.execute(f"DROP TABLE loose_{table}")
    db.commit()
    db.execute("ANALYZE")
    db.commit()


def main():
    path = sys.argv[1]
    if not os.path.exists(path):
        unfinished = path + ".unfinished"
        if os.path.exists(unfinished):
            os.remove(unfinished)
        print("load", flush=True)
        db = sqlite3.connect(unfinished)
        load(db)
        db.close()
        os.rename(unfinished, path)
    db = sqlite3.connect(path)
    # As much as the log has for its store and its chunks.
    db.execute("PRAGMA cache_size = -196608")
    print("ready " + sqlite3.sqlite_version + " " + str(os.path.getsize(path)), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        began = time.perf_counter_ns()
        rows = db.execute(question["sql"], question["args"]).fetchall()
        took = time.perf_counter_ns() - began
        print(json.dumps([took, [row[0] for row in rows]]), flush=True)


main()
