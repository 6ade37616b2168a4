"""
# A period closed: checked, tied to the ERP to the cent, signed, locked

1. **readiness**: everything that stands between the period and its closing, each with its count, amount and where to
   look: bills in quarantine, exceptions, messages on their way, feeds whose cut-off has not passed, drift, and more.
   Which of them blocks is data (`rules.close_check`). Leftover accruals are proposed for release.
2. **roll_forward**: opening + accrued - reversed - released + adjusted = closing, by account, carrier and currency.
3. **tie_out**: our ledger against the ERP's own trial balance. One cent blocks and is explained by document.
4. **sign_off**: a person with the right to it signs the figures under *Required actions*; never the one who started
   the run. An answer that does not count is asked again.
5. **lock**: closed here, locked in the ERP, both books looked at once more. What comes later goes to the next period.
6. **report**: the closing workbook, kept with the signature (`freightsync period report`).

**Starts** when somebody starts it, with the period as its parameter.

**If it fails**: the log of `readiness` or `tie_out` names what is open and what to do; then start it again. `lock`
fails where the figures moved after the signature, and leaves the period open. `freightsync period reopen` opens a
closed one.

**Running it again is always safe**: a closed period is refused, and a signature holds for its figures only.
"""

from airflow.sdk import DAG, Param

from freightsync_airflow import assets, close, policy

with DAG(
    "close_period",
    description="Readiness, roll-forward, tie-out to the ERP, sign-off by a person, lock",
    doc_md=__doc__,
    schedule=None,
    params={
        "period": Param(
            "2026-01", type="string", pattern="^[0-9]{4}-(0[1-9]|1[0-2])$", title="Period", description="YYYY-MM"
        )
    },
    **policy.dag(owner="finance", pool=policy.REPORTS, open_to="finance", tags=["ledger", "close"], waits=True),
):
    (
        close.readiness()
        >> close.roll_forward()
        >> close.tie_out()
        >> close.sign_off()
        >> close.sign_and_lock(outlets=[assets.CLOSED_PERIODS])
        >> close.keep_report()
    )
