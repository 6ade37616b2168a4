"""
# Payments applied to customer invoices; disputes and credits

Bank statements (camt.053, from SFTP) and what the ERP knows of payments and disputes are taken in and gated: a
statement whose balances do not add up is kept out as a whole. A payment that the bank and the ERP both tell of counts
once. It is applied by the references that it carries, else by invoice numbers in its text, else by the exact amount of
one invoice of its customer; several or none is an exception that says what was tried. Short payments are closed by
tolerance or by an agreed discount, or stay open; what comes back reopens its invoice. A dispute that was settled in the
customer's favour becomes a credit memo in the ERP.

**Starts** when a statement file lies on the server, when the ERP has a payment or dispute that we have not read, when
an invoice changed that a payment or dispute is about, and by a timed sweep.

**If it fails**: an exception of a payment is a verdict, not a failure. `land_and_gate` names the partner that can't be
reached; a failing `build` names the model, and nothing is posted from it. `plan_and_apply` fails when a plan would take
back more than the limit: the log shows the plan and asks for a person.

**Running it again is always safe**: what was posted is in the log, and only the difference is posted. Where the ERP
books payments itself (`payment_policy`), only statuses are followed and nothing is posted.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, land_and_gate, plan_and_apply

with DAG(
    "apply_payments",
    description="Bank statements, payments and disputes applied to customer invoices",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.BANK_STATEMENT_FILES | assets.RECEIVABLE_CHANGES, minute=7),
    **policy.dag(
        owner="finance", pool=policy.RECEIVABLES, open_to="finance", tags=["receivables", "ledger", "bank", "erp"]
    ),
):
    (
        land_and_gate("apply_payments")
        >> build("apply_payments")
        >> plan_and_apply("apply_payments", outlets=[assets.RECEIVABLES, assets.OUTBOX])
        >> keep_up("apply_payments", outlets=[assets.RECEIVABLES, assets.OUTBOX])
    )
