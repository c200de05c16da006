"""Questions of our own in the columns of SQuAD 2.0 and HotpotQA on the hub.

    pip install pyarrow==26.0.1 && python questions.py
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent

TEXTS = ["The mill stands by the river.", "The bridge was closed in 1992.", "Three children ran along."]
TEXT, TEXTS_TYPE = pa.string(), pa.list_(pa.string())

SQUAD = pa.schema([
    ("id", TEXT), ("title", TEXT), ("context", TEXT), ("question", TEXT),
    ("answers", pa.struct([("text", TEXTS_TYPE), ("answer_start", pa.list_(pa.int32()))])),
])
squad = [
    {"id": "1", "title": "Mill", "context": TEXTS[0], "question": "Where does the mill stand?",
     "answers": {"text": ["by the river", "by the river"], "answer_start": [16, 16]}},
    {"id": "2", "title": "Mill", "context": TEXTS[1], "question": "Who closed the bridge?",
     "answers": {"text": [], "answer_start": []}},
    {"id": "3", "title": "Mill", "context": TEXTS[1], "question": "When was the bridge closed?",
     "answers": {"text": ["1992"], "answer_start": [25]}},
]

HOTPOT = pa.schema([
    ("id", TEXT), ("question", TEXT), ("answer", TEXT),
    ("supporting_facts", pa.struct([("title", TEXTS_TYPE), ("sent_id", pa.list_(pa.int32()))])),
    ("context", pa.struct([("title", TEXTS_TYPE), ("sentences", pa.list_(TEXTS_TYPE))])),
])
hotpot = [
    {"id": "1", "question": "What is by the river that was closed in 1992?", "answer": "the bridge",
     "supporting_facts": {"title": ["Mill", "Bridge"], "sent_id": [0, 0]},
     "context": {"title": ["Mill", "Bridge", "Children"], "sentences": [[text] for text in TEXTS]}},
]

for name, rows, schema in [("squad", squad, SQUAD), ("hotpot", hotpot, HOTPOT)]:
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, HERE / f"{name}.parquet", compression="snappy")
