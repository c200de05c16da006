"""Rows in the shapes that question answering data sets have, as parquet and as JSON lines.

    pip install pyarrow==26.0.1 && python rows.py

Columns differ in their codec, and rows stand in groups of two.
"""

import datetime
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent

SCHEMA = pa.schema([
    ("id", pa.int64()),
    ("question", pa.string()),
    ("context", pa.struct([("title", pa.list_(pa.string())),
                           ("sentences", pa.list_(pa.list_(pa.string())))])),
    ("answers", pa.list_(pa.struct([("text", pa.large_string()), ("start", pa.int32())]))),
    ("score", pa.float32()),
    ("easy", pa.bool_()),
    ("tags", pa.map_(pa.string(), pa.uint8())),
    ("asked", pa.timestamp("ms", tz="UTC")),
    ("raw", pa.binary()),
])

ASKED = datetime.datetime(2020, 2, 29, 12, 30, 0, 250000, tzinfo=datetime.timezone.utc)

ROWS = [
    {"id": 1, "question": "Where is the Ägäis?", "context": {"title": ["Sea", "Land"], "sentences": [["One.", "Two."], []]},
     "answers": [{"text": "South", "start": 4}, {"text": None, "start": None}], "score": 0.5,
     "easy": True, "tags": {"a": 1, "b": 255}, "asked": ASKED, "raw": b"bytes that are text"},
    {"id": -2, "question": "", "context": {"title": [], "sentences": []}, "answers": [], "score": None,
     "easy": False, "tags": {}, "asked": None, "raw": None},
    {"id": 2**53 + 1, "question": None, "context": None, "answers": None, "score": float("nan"),
     "easy": None, "tags": None, "asked": ASKED, "raw": b""},
    {"id": 4, "question": "three\nlines\r\n“quoted”", "context": {"title": None, "sentences": [[], [None, "x"], None]},
     "answers": [None, {"text": "", "start": 0}], "score": -1.25, "easy": True, "tags": {"": 0},
     "asked": None, "raw": b"\xc3\xa9"},
    {"id": 5, "question": "last", "context": {"title": [""], "sentences": [["a", "b", "c"]]},
     "answers": [{"text": "b", "start": -1}], "score": 1e30, "easy": False, "tags": None,
     "asked": None, "raw": None},
]


def plain(value):
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime):
        return "2020-02-29 12:30:00.250 +00:00"
    return value


def main():
    rows = [{**row, "tags": None if row["tags"] is None else list(row["tags"].items())} for row in ROWS]
    table = pa.Table.from_pylist(rows, SCHEMA)
    codecs = {"id": "NONE", "question": "ZSTD", "score": "GZIP", "easy": "SNAPPY", "asked": "ZSTD"}
    pq.write_table(table, HERE / "rows.parquet", row_group_size=2, compression=codecs)
    score = [float(v) if v is not None else None for v in table.column("score").to_pylist()]
    with open(HERE / "rows.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for row, stored in zip(ROWS, score):
            row = {name: plain(value) for name, value in row.items()}
            row["score"] = plain(stored)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


main()
