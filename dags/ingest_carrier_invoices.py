"""
# Carrier invoices through the gate

X12 210, EDIFACT INVOIC, CSV and XLSX files that carriers leave on the SFTP server; bills that partners sent to our API
and that people uploaded, which are landed already; results of freight audit platforms. A file that is still being
written is left alone (two looks must agree on size and time; `.tmp` is not looked at). Its bytes are kept as received,
its invoices become records, and the file moves to the carrier's `archive` directory under its content hash. Invoices
whose lines or taxes don't sum, in no currency that anybody knows, with a charge code that nobody knows or without any
reference go to quarantine with their reasons.

**Starts** when a whole file lies there (one connection looks for everybody; no worker is held), when bills came by a
call or an upload, and by a timed sweep.

**If it fails**: the log names the file and the position in it. A file that can't be read at all is no failure: it is
one quarantined document. If the server can't be reached the task is tried again by itself.

**Running it again is always safe**: the same content is landed once, under whatever name it comes.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import keep_up, land_and_gate

with DAG(
    "ingest_carrier_invoices",
    description="bills from SFTP, API and uploads, and audit results, gated; half-written files left alone",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.CARRIER_INVOICE_FILES | assets.BILLS_TO_GATE, minute=4),
    **policy.dag(
        owner="data_engineering", pool=policy.INTAKE, open_to="steward", tags=["settlement", "carriers", "edi", "sftp"]
    ),
):
    (
        land_and_gate("ingest_carrier_invoices", outlets=[assets.LANDED_CARRIER_INVOICES], go_on=False)
        >> keep_up("ingest_carrier_invoices", outlets=[assets.LANDED_CARRIER_INVOICES])
    )
