"""What differs by country, apart from the flow that does not: tax on what is billed, e-invoice profiles.

May import: domain, formats, warehouse. A country adapter is a folder of dated rule data, nothing else:

    local/<adapter>/zones.csv         which countries' sellers it judges (a zone named as the folder), and other zones
                   /rules.csv         how a line is taxed: conditions over facts, treatment, reason, source
                   /rates.csv         percent by country, region and class
                   /identifiers.csv   what tax numbers look like
                   /einvoice.yaml     e-invoice profiles (optional)

`freightsync.rules.load` appends them to schema `rules`; dbt (`decisions.tax_line` … `decisions.billing_tax`) decides by
them, set by set, and is the only place that does: `ask` answers a question through the same relations. So adding a
country is adding a folder, here or in a directory that `FREIGHTSYNC_LOCAL_DIRECTORIES` names; docs/add-a-country.md.
"""

from freightsync.local.adapters import Adapter, AdapterInvalid, adapters
from freightsync.local.port import Answer, Line, Place, Question, TaxLine, TaxRefused, ask

__all__ = [
    "Adapter",
    "AdapterInvalid",
    "Answer",
    "Line",
    "Place",
    "Question",
    "TaxLine",
    "TaxRefused",
    "adapters",
    "ask",
]
