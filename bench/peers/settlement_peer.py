"""What a team would do otherwise: dlt loads the rows (Arrow in, CSV into COPY: its fast way), Great Expectations looks
at pandas frames, pandas matches, `to_sql` writes the verdicts back.

    settlement_peer.py ROWS_DIRECTORY DATABASE_URL

Starts from rows, not from carriers' files, and keeps no history, no reasons and no ledger: all of that would come on
top. The last line of its output is JSON: seconds by step and in all, and how many invoices got each verdict.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROWS, URL = Path(sys.argv[1]), sys.argv[2]
os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = URL
os.environ.setdefault("NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION", "true")

import dlt  # noqa: E402
import great_expectations as gx  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.csv as arrow_csv  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402

STORED = ("shipment", "planned", "code", "tolerance")
NEW = ("invoice", "line")
TEXT = {
    "number",
    "bol",
    "pro",
    "po",
    "shipment_id",
    "origin",
    "destination",
    "partner_code",
    "description",
    "scac",
    "charge",
    "mode",
    "correction",
    "currency",
}
MONEY = {"net", "amount", "planned", "percent", "weight"}


def table(name: str) -> pa.Table:
    with (ROWS / f"{name}.csv").open() as handle:
        columns = handle.readline().strip().split(",")
    types = {column: pa.string() for column in columns if column in TEXT}
    types |= {column: pa.float64() for column in columns if column in MONEY}
    return arrow_csv.read_csv(
        ROWS / f"{name}.csv",
        convert_options=arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True),
    )


def load(names: tuple[str, ...]) -> None:
    pipeline = dlt.pipeline("peer", destination="postgres", dataset_name="peer", progress=None)
    for name in names:
        resource = dlt.resource(table(name), name=name, file_format="csv", write_disposition="append")
        pipeline.run(resource, loader_file_format="csv")


def gate(invoices: pd.DataFrame, lines: pd.DataFrame, codes: pd.DataFrame) -> None:
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("frames")
    known = sorted(set(codes.partner_code))
    suites = {
        "invoice": (
            invoices,
            [
                gx.expectations.ExpectColumnValuesToNotBeNull(column="number"),
                gx.expectations.ExpectColumnValuesToNotBeNull(column="invoice_on"),
                gx.expectations.ExpectColumnValuesToNotBeNull(column="net"),
                gx.expectations.ExpectColumnValuesToBeInSet(column="scac", value_set=sorted(set(codes.scac))),
                gx.expectations.ExpectColumnValuesToBeBetween(column="net", min_value=-1e12, max_value=1e12),
                gx.expectations.ExpectColumnValuesToMatchRegex(column="number", regex="[A-Za-z0-9]"),
                gx.expectations.ExpectColumnPairValuesToBeEqual(column_A="net", column_B="lines_total"),
            ],
        ),
        "line": (
            lines,
            [
                gx.expectations.ExpectColumnValuesToNotBeNull(column="amount"),
                gx.expectations.ExpectColumnValuesToBeInSet(column="partner_code", value_set=known),
            ],
        ),
    }
    totals = lines.groupby("invoice_id").amount.sum().round(2)
    invoices["lines_total"] = invoices.invoice_id.map(totals)
    for name, (frame, expectations) in suites.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        suite = gx.ExpectationSuite(name=name, expectations=expectations)
        result = batch.get_batch({"dataframe": frame}).validate(suite, result_format="SUMMARY")
        if not result.success:
            raise SystemExit(f"the peer's gate failed: {result}")


def match(f: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ships, invoices, lines = f["shipment"], f["invoice"], f["line"]
    linked = pd.Series(pd.NA, index=invoices.index, dtype="object")
    for column in ("shipment_id", "bol", "pro", "po"):
        named = ships.dropna(subset=[column])
        index = pd.Series(named.shipment_id.to_numpy(), index=pd.MultiIndex.from_frame(named[["scac", column]]))
        found = index.reindex(pd.MultiIndex.from_frame(invoices[["scac", column]])).to_numpy()
        linked = linked.where(linked.notna(), pd.Series(found, index=invoices.index))
    invoices = invoices.assign(linked=linked)
    normal = invoices.number.str.upper().str.replace(r"[^A-Z0-9]|[A-Z]$", "", regex=True)
    order = invoices.assign(normal=normal).sort_values(["invoice_on", "number"])
    duplicate = order.duplicated(["scac", "normal"]).reindex(invoices.index)
    invoices["is_duplicate"] = duplicate
    rows = lines.rename(columns={"shipment_id": "own"}).merge(
        invoices[["invoice_id", "scac", "linked", "is_duplicate"]], on="invoice_id"
    )
    rows = rows.merge(f["code"], on=["scac", "partner_code"], how="left")
    rows["shipment_id"] = rows.linked.fillna(rows.own)
    rows = rows.merge(f["planned"], on=["shipment_id", "charge"], how="left")
    tolerance = f["tolerance"]
    limits = []
    for scac, charge in f["code"][["scac", "charge"]].drop_duplicates().itertuples(index=False):
        fits = tolerance[tolerance.scac.isin([scac, "*"]) & tolerance.charge.isin([charge, "*"])]
        fits = fits.assign(a=(fits.scac != "*") & (fits.charge != "*"), b=fits.scac != "*", c=fits.charge != "*")
        best = fits.sort_values(["a", "b", "c"], ascending=False).iloc[0]
        limits.append((scac, charge, best["mode"], best.percent, best.amount))
    rows = rows.merge(
        pd.DataFrame(limits, columns=["scac", "charge", "mode", "percent", "limit"]), on=["scac", "charge"]
    )
    share = rows.planned * rows.percent / 100
    either = np.fmax(share, rows.limit)
    both = np.fmin(share, rows.limit)
    rows["allowed"] = np.where(rows["mode"] == "either", either, both)
    rows["variance"] = (rows.amount - rows.planned).round(2)
    rows["found"] = rows.planned.notna()
    rows["over"] = rows.variance > rows.allowed + 1e-9
    rows["differs"] = rows.variance.fillna(0) != 0
    by = rows.groupby("invoice_id").agg(
        is_duplicate=("is_duplicate", "any"),
        found=("found", "all"),
        over=("over", "any"),
        differs=("differs", "any"),
        expected=("planned", "sum"),
        invoiced=("amount", "sum"),
        variance=("variance", "sum"),
    )
    by["verdict"] = np.select(
        [by.is_duplicate, ~by.found, by.over, by.differs],
        ["duplicate_number", "no_candidate", "out_of_tolerance", "in_tolerance"],
        "exact",
    )
    columns = ["invoice_id", "shipment_id", "charge", "planned", "amount", "variance", "allowed"]
    return rows[columns], by.reset_index()[["invoice_id", "verdict", "expected", "invoiced", "variance"]]


def main() -> None:
    engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"))
    load(STORED)
    seconds: dict[str, float] = {}
    began = at = time.perf_counter()

    def step(name: str) -> None:
        nonlocal at
        now = time.perf_counter()
        seconds[name], at = round(now - at, 2), now

    load(NEW)
    step("load")
    frames = {name: pd.read_sql_table(name, engine, schema="peer") for name in (*STORED, *NEW)}
    step("read")
    gate(frames["invoice"], frames["line"], frames["code"])
    step("gate")
    lines, verdicts = match(frames)
    step("match")
    for name, frame in (("line_verdict", lines), ("verdict", verdicts)):
        frame.to_sql(name, engine, schema="peer", if_exists="replace", index=False, chunksize=50_000)
    step("to_sql")
    seconds["seconds"] = round(time.perf_counter() - began, 2)
    print(json.dumps({**seconds, "verdicts": verdicts.verdict.value_counts().to_dict()}))


if __name__ == "__main__":
    main()
