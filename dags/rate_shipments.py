"""
# What contracts say that shipments cost

Rate cards, fuel prices and class tables that the pricing team leaves on the SFTP server (CSV, XLSX), through the gate
and kept with their history: what held on which day, and since when we know. Shipments whose plan has no charges, and
those whose carrier or customer has a contract, are rated charge by charge: linehaul, discount, minimum, fuel, services.
Every charge names the rows that decided it and shows its arithmetic (`freightsync rate explain SHIPMENT`).

A plan without charges is accrued and matched by what was rated. A shipment that can't be rated is an exception with its
reason, never a guess; rates that come later rate it by themselves. What was rated stays as its rates were known then.

**Starts** when a whole file lies in `/pricing/inbound`, when plans have landed that are to be rated, and by a timed
sweep.

**If it fails**: a failing `land_and_gate` names the file; rates that can't be used are in quarantine with their reasons
and fail no task. A failing `build` names the model.

**Running it again is always safe**: the same file is landed once, and rating the same facts gives the same cents.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, land_and_gate

with DAG(
    "rate_shipments",
    description="Rate cards and fuel prices from SFTP; shipments rated by contract, charge by charge",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.RATE_FILES | assets.PLANS_TO_RATE, minute=3),
    **policy.dag(owner="finance", pool=policy.INTAKE, open_to="steward", tags=["rating", "contracts", "sftp"]),
):
    tells = {"ingest_shipment_events": assets.RATED_CHARGES}
    (land_and_gate("rate_shipments") >> build("rate_shipments", tells=tells) >> keep_up("rate_shipments", tells=tells))
