"""
# Answers to carriers' EDI

Each file of X12 or EDIFACT that a carrier left is answered by whether it could be read: a 997, or a CONTRL, with the
verdict on every transaction in it. A 210 whose content keeps it waiting in quarantine is answered by an 824 with the
reasons, so that the carrier can send it again. The answers go through the outbox into the carrier's `outbound`
directory (`deliver_effects`), once each, under control numbers of the carrier's own sequence.

A carrier whose moves we bill ourselves (`rules.self_billing_policy`) gets each such document as a table in the same
place.

**Starts** when carriers' invoices or events were taken in, when payables were posted, and by a timed sweep.

**If it fails**: nothing is lost, the next run tells what was not told yet (`decisions.carrier_untold`).

**Running it again is always safe**: what was answered is in the log, and is not answered again.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, plan_and_apply

with DAG(
    "answer_carriers",
    description="997, CONTRL and 824 for what carriers sent by EDI, and what we billed ourselves; once each",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.LANDED_CARRIER_INVOICES | assets.PAYABLES, minute=9),
    **policy.dag(owner="data_engineering", pool=policy.DELIVERY, tags=["carriers", "edi"]),
):
    # no keep_up: an answer may take a minute, and a run that stays costs more than it saves
    build("answer_carriers") >> plan_and_apply("answer_carriers", outlets=[assets.OUTBOX])
