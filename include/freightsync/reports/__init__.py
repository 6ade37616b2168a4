"""Reports for people: the reconciliation workbook and the figures in it.

Reads the marts (dbt computes every amount once), the gate's tables and, through the ERP's API, the ERP's own trial
balance; writes files. Imports warehouse and domain; changes nothing anywhere.
"""

from freightsync.reports.figures import Figures, TrialBalanceLine, gather
from freightsync.reports.make import make_report
from freightsync.reports.workbook import Written, write_workbook

__all__ = ["Figures", "TrialBalanceLine", "Written", "gather", "make_report", "write_workbook"]
