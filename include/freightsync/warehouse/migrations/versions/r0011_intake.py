"""Carrier bills in one shape from every channel: what they correct, who bills, taxes; results of freight audit platforms;
and who uploaded a document."""

from alembic import op

revision = "0011_intake"
down_revision = "0010_rating"
branch_labels = None
depends_on = None

STATEMENTS = (
    """alter table landing.carrier_invoice
      add column corrects_number text,
      add column biller text,
      add column service_level text,
      add column tax_amount numeric(18,2),
      add column gross_amount numeric(18,2),
      add column due_on date""",
    """comment on column landing.carrier_invoice.corrects_number is
      'Number of the bill that this one speaks of, where it names one.'""",
    """comment on column landing.carrier_invoice.biller is
      'Who asks for the money, where that is not the carrier: a factoring company, an audit platform''s payee.'""",
    """alter table landing.carrier_invoice_line
      add column tax_code text,
      add column tax_rate numeric(7,4),
      add column tax_amount numeric(18,2),
      add column order_number text,
      add column bol_number text""",
    "comment on column landing.carrier_invoice_line.tax_rate is 'Percent.'",
    """create table landing.audit_result (
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
      source text not null,
      platform_reference text,
      revision int,
      audited_on date,
      scac text,
      invoice_number text,
      correction text not null default '',
      invoice_on date,
      shipment_reference text,
      pro_number text,
      action text,
      reason_code text,
      reason text,
      payee text,
      pay_on date,
      billed_amount numeric(18,2),
      audited_amount numeric(18,2),
      lines_total numeric(18,2),
      line_count int)""",
    "comment on table landing.audit_result is 'What a freight audit platform found about one carrier invoice. Append-only.'",
    "create index on landing.audit_result (batch_id)",
    "create index on landing.audit_result (scac, invoice_number)",
    """create table landing.audit_result_line (
      record_id bigint not null references landing.audit_result,
      line int not null,
      partner_code text,
      description text,
      billed_amount numeric(18,2),
      audited_amount numeric(18,2),
      reason_code text,
      reason text,
      primary key (record_id, line))""",
    "alter table landing.document add column sent_by text",
    "comment on column landing.document.sent_by is 'The person who uploaded it, for a document of the portal.'",
    *(
        f"""create trigger append_only before update or delete or truncate on landing.{table}
          for each statement execute function ops.refuse_change()"""
        for table in ("audit_result", "audit_result_line")
    ),
)

# what R1 adds up: whatever the view reads already, and the new table
RECORD_VIEW = """
do $$
begin
  execute 'create or replace view landing.record as '
    || rtrim(pg_get_viewdef('landing.record'::regclass), E'; \\n')
    || ' union all select source, record_id, batch_id, document_id, correlation_id, partner, amount, currency'
    || ' from landing.audit_result';
end $$
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)
    connection.execute(RECORD_VIEW)


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
