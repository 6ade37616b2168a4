"""
# Master data, kept with its history

Customers, ship-tos, items, carriers and charge codes from the ERP, lanes from the TMS: every change is landed, gated
and kept as a new version with the time from which it holds. Everything that decides (matching, billing, enrichment of
orders) reads these tables.

**Starts** when the ERP or the TMS has a change that we have not read (looked at every few seconds, no worker is held),
and by a timed sweep.

**If it fails**: the log names the partner, the field and what to do. `land_and_gate` fails when a partner can't be
reached (it is tried again by itself) or speaks another contract than ours (a person looks). `build` fails when a model
is broken: the log names it.

**Running it again is always safe**: what was read is not read again, the same content lands once, a version that is
there is not written twice.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, land_and_gate

with DAG(
    "sync_master_data",
    description="Customers, items, carriers, charge codes, lanes: synced by change, kept with history",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.MASTER_DATA_CHANGES, minute=0),
    **policy.dag(owner="stewards", pool=policy.INTAKE, open_to="steward", tags=["master data", "erp", "tms"]),
):
    tells = {"post_accruals": assets.MASTER_DATA}
    (
        land_and_gate("sync_master_data")
        >> build("sync_master_data", tells=tells)
        >> keep_up("sync_master_data", tells=tells)
    )
