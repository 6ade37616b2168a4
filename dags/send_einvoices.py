"""
# E-invoices

A customer whose tax profile in the ERP asks for e-invoices (attribute `einvoice`) gets one of each document that it is
billed or credited with: what was posted, under the ERP's number, written as UBL by EN 16931 and by the profile that it
asks for, read back and checked before it is kept (`effects.einvoice`). Then it is left for the access point, which
passes it on, once each. What would break a rule is not written: it is a dead letter with the rule and what to do.

**Starts** when such an invoice was posted, and by a timed sweep.

**If it fails**: nothing is lost, the next run takes what still waits. An e-invoice that was refused is written once
what is missing was added (the seller, or the customer's profile in the ERP): `freightsync outbox retry`.

**Running it again is always safe**: each is asked for once; the same document is the same file.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, plan_and_apply

with DAG(
    "send_einvoices",
    description="Customer invoices as e-invoices where the customer wants them: checked, kept, delivered",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.EINVOICES_TO_WRITE, minute=11),
    **policy.dag(owner="finance", pool=policy.DELIVERY, tags=["receivables", "tax"]),
):
    build("send_einvoices") >> plan_and_apply("send_einvoices", outlets=[assets.OUTBOX])
