"""The customers' side: bank entries, the ERP's payment statuses and disputes as received; the rules that apply them."""

from alembic import op

revision = "0014_customers"
down_revision = "0013_tax"
branch_labels = None
depends_on = None

FEED_TABLES = {
    "bank_entry": (
        "bank.statement_entry",
        """entry_key text not null, statement_id text, account text, statement_on date, statement_difference numeric(18,2), entry int,
  entry_reference text, entry_amount numeric(18,2), details_total numeric(18,2), detail int, direction text,
  is_reversal boolean, status text, booked_on date, value_on date, end_to_end_id text, bank_reference text, return_reason text, counterparty_name text,
  counterparty_account text, documents jsonb, remittance_text text""",
    ),
    "remittance_advice": (
        "customer.remittance",
        """advice_key text, end_to_end_id text, payer_name text, paid_on date, documents jsonb, remittance_text text""",
    ),
    "payment_status": (
        "erp.payment_status",
        """payment_id text not null, version int not null, changed_at timestamptz, party_kind text, party_id text,
  paid_on date, bank_reference text, is_reversed boolean, short_reason text, documents jsonb""",
    ),
    "customer_dispute": (
        "erp.dispute",
        """dispute_id text not null, version int not null, changed_at timestamptz, customer_id text, invoice_number text,
  line_kind text, order_line int, reason_code text, status text, opened_on date, resolved_on date,
  credited_amount numeric(18,2), credit_memo_number text, note text""",
    ),
}

LANDING = """
create table landing.{name} (
  record_id bigint generated always as identity primary key,
  batch_id bigint not null references landing.batch,
  document_id bigint not null references landing.document,
  ordinal int not null,
  position text,
  record_sha256 bytea not null unique,
  correlation_id text not null,
  partner text not null,
  amount numeric(18,2),
  currency text,
  {columns});
create index on landing.{name} (batch_id);
create trigger append_only before update or delete or truncate on landing.{name}
  for each statement execute function ops.refuse_change();
"""

RECORDS = """
do $$
declare known text := rtrim(pg_get_viewdef('landing.record'::regclass), E'; \n');
begin
  execute 'create or replace view landing.record as ' || known || $view$ {parts} $view$;
end $$;
"""

ACCESS_PATHS = """
create index on landing.payment_status (payment_id, version);
create index on landing.customer_dispute (dispute_id, version);
create index on landing.bank_entry (entry_key);
-- money and end-to-end id, as payments are found by
create index on landing.remittance_advice
  (md5(currency || ' ' || abs(amount) || ' ' || nullif(upper(regexp_replace(end_to_end_id, '[^A-Za-z0-9]', '', 'g')), '')));
-- the partner's numbers of our documents, as payers quote them: compared without case and punctuation
create index on effects.outcome (upper(regexp_replace(reference, '[^A-Za-z0-9]', '', 'g')))
  where outcome = 'accepted' and reference <> '';
"""

VERSIONED = """
  rule_id text not null,
  rule_version int not null check (rule_version > 0),
  {columns}
  valid_from date not null,
  valid_to date check (valid_to >= valid_from),
  recorded_at timestamptz not null default clock_timestamp(),
  recorded_by text not null,
  note text not null,
  primary key (rule_id, rule_version)"""

RULES = {
    "payment_policy": (
        """customer_id text not null default '*', books text not null check (books in ('erp', 'ours')),
  unapplied_account text not null,""",
        "Whose books take payments: erp, the ERP books them itself and only statuses are kept here; ours, cash, application "
        "and write-off are posted. Where money waits until it is applied. Most specific wins: customer, any.",
    ),
    "bank_account": (
        """account text not null default '*', ledger_account text not null,""",
        "The ledger account of a bank account of ours. Most specific wins: account, any.",
    ),
    "payer": (
        """payer_account text, payer_name text, customer_id text not null,
  check (num_nonnulls(payer_account, payer_name) = 1),""",
        "Who pays under this bank account or this name. The account counts before the name.",
    ),
    "invoice_pattern": (
        """pattern text not null check (length(pattern) between 3 and 200),""",
        "How numbers of our invoices look in free text of payers: a regular expression, compared without regard to case.",
    ),
    "payment_tolerance": (
        """customer_id text not null default '*', under_amount numeric(18,2) check (under_amount >= 0),
  under_percent numeric(6,2) check (under_percent >= 0), over_amount numeric(18,2) check (over_amount >= 0),
  account text not null, reason text not null,""",
        "How much less may be paid and still close an invoice (amount and percent: the smaller counts, one that is not set "
        "does not speak), and how much more is kept as a difference. Most specific wins: customer, any.",
    ),
    "payment_terms": (
        """terms text not null default '*', net_days int not null check (net_days >= 0),
  discount_percent numeric(6,2) not null default 0 check (discount_percent >= 0),
  discount_days int not null default 0 check (discount_days >= 0), discount_account text not null,""",
        "What the code of payment terms means: due after net_days, discount_percent off within discount_days, both from the "
        "invoice date. Most specific wins: code, any.",
    ),
    "correction_policy": (
        """customer_id text not null default '*', mode text not null check (mode in ('difference', 'credit_and_rebill')),""",
        "How a change after billing reaches the customer: the difference as a further document, or all of it credited and "
        "billed anew. Most specific wins: customer, any.",
    ),
    "pass_on_policy": (
        """customer_id text not null default '*', charge_code text not null default '*', passes_on boolean not null,""",
        "Which charges of carriers a customer whose freight is passed through pays beyond what was planned. Most specific "
        "wins: customer and charge, customer, charge, any.",
    ),
    "credit_reason": (
        """reason_code text not null default '*', account text,""",
        "The account that a credit of this reason goes to; none: the account of the line that is disputed. Most specific "
        "wins: code, any.",
    ),
}


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name, (_, columns) in FEED_TABLES.items():
        connection.execute(LANDING.format(name=name, columns=columns))
    parts = "".join(
        f" union all select '{feed}'::text as feed, record_id, batch_id, document_id, correlation_id, partner, amount,"
        f" currency from landing.{name}"
        for name, (feed, _) in FEED_TABLES.items()
    )
    # added to what the view holds by now, whoever added it
    connection.execute(RECORDS.format(parts=parts))
    connection.execute(ACCESS_PATHS)
    for name, (columns, comment) in RULES.items():
        connection.execute(f"create table rules.{name} ({VERSIONED.format(columns=columns)});")
        connection.execute(f"comment on table rules.{name} is '{comment}'")
        connection.execute(
            f"create trigger append_only before update or delete or truncate on rules.{name}"
            " for each statement execute function ops.refuse_change()"
        )
    connection.execute(
        "create index on rules.payer (payer_account); create index on rules.payer (lower(payer_name));"
    )


def downgrade() -> None:
    raise NotImplementedError("landing and rules are append-only: restore a backup instead")
