"""Reads the parts of a result with others' libraries.

read.py FILE…   NDJSON, CSV or Parquet, packed or not, as the suffix says

For each file, prints `{"part", "bytes", "sha256", "rows"}`, then a line for each of its records with
what is the same in every format and in every run.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import sys

COLUMNS = ("url", "status", "http_status", "code", "message", "index", "id")


def of_object(record):
    same = {name: record.get(name) for name in COLUMNS}
    return same | {"data": record.get("data"), "html": record.get("html")}


def of_row(row):
    data = {name: value for name, value in row.items() if name not in COLUMNS}
    return {name: row[name] for name in COLUMNS} | {"data": data, "html": None}


def of_cells(cells):
    row = {name: cell or None for name, cell in cells.items()}
    for name, read in (("index", int), ("http_status", int), ("price", float)):
        row[name] = row[name] and read(row[name])
    return of_row(row)


def records(name, content):
    if name.endswith(".parquet"):
        import pyarrow.parquet

        return map(of_row, pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist())
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    if name.endswith(".zst"):
        import zstandard

        packed = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
        content = packed.read()
    text = content.decode()
    assert text.endswith("\n"), "the last record is cut"
    if ".csv" in name:
        csv.field_size_limit(1 << 30)
        return map(of_cells, csv.DictReader(io.StringIO(text, newline="")))
    return (of_object(json.loads(line)) for line in text.splitlines())


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        content = file.read()
    name = os.path.basename(path)
    found = list(records(name, content))
    sha256 = hashlib.sha256(content).hexdigest()
    print(json.dumps({"part": name, "bytes": len(content), "sha256": sha256, "rows": len(found)}))
    for record in found:
        print(json.dumps(record))
