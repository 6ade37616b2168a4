"""
# Disputed carrier bills, and bills that wait for a person, a batch at a time

1. **gather**: every dispute in which it is our turn (nothing said yet, or the carrier made a proposal), the nearest
   deadline first, and every bill that fits and is more than its carrier's policy lets through by itself.
2. **ask**: one table and one answer under *Required actions*: propose what is owed, accept or refuse what carriers
   proposed, approve.
3. **carry_out**: says it in each case. Paying more than is owed needs two people: who started the run, and who answered
   and may approve that much (`rules.approval_limit`). What can't be done is left, and its log says why.

Single cases are worked on by `freightsync disputes` and `freightsync approvals`, or over the API.

**Starts** every weekday morning, or when somebody starts it. Ends at once where nothing waits.

**If it fails**: nothing is half said; each case is a transaction of its own. A case in which more was said since the
batch was made is left for the next one.

**Running it again is always safe**: what was said is not said twice, and settlement pays what was agreed once.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, disputes, policy

with DAG(
    "work_disputes",
    description="Disputes and approvals of carrier bills: one table, one answer, carried out case by case",
    doc_md=__doc__,
    schedule=policy.daily(6),
    **policy.dag(owner="finance", pool=policy.REPORTS, open_to="finance", tags=["ledger", "disputes"], waits=True),
):
    disputes.gather() >> disputes.ask() >> disputes.carry_out(outlets=[assets.DISPUTES])
