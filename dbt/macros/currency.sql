{#
  Amounts in the currency of our books. A rate is looked up once a currency, source, day and stretch of knowledge; rows
  whose currency is that of the books take no part.

  Which rate: of those published for the day, else for the last day before it within so many days, the newest that had
  been admitted by `known_at`. Where none had been, the first that comes afterwards: until then the row waits. So no
  later publication changes what was translated before.

  How to use it (see models/decisions/accrual.sql):

      rate_keys as (
          select currency, functional_currency, rate_source, rate_max_age_days, rate_on,
              {{ exchange_rate_known('known_at') }} as rate_epoch, min(known_at) as known_at
          from rows where currency <> functional_currency
          group by currency, functional_currency, rate_source, rate_max_age_days, rate_on, rate_epoch
      ),
      rates as ({{ exchange_rates_for('rate_keys') }})

  then left join rates on the six columns, and `functional_amount`.
#}
{% macro exchange_rate_known(known_at) -%}
coalesce(width_bucket({{ known_at }}, (
    select array_agg(distinct published.known_at order by published.known_at)
    from {{ ref('exchange_rate') }} as published
)), 0)
{%- endmacro %}

{# keys: a relation with currency, functional_currency, rate_source, rate_max_age_days, rate_on, rate_epoch, known_at. #}
{% macro exchange_rates_for(keys) -%}
    select
        wanted.currency,
        wanted.functional_currency,
        wanted.rate_source,
        wanted.rate_max_age_days,
        wanted.rate_on,
        wanted.rate_epoch,
        found.rate as exchange_rate,
        found.rate_on as exchange_rate_on,
        found.exchange_rate_id,
        found.version as exchange_rate_version
    from {{ keys }} as wanted
    inner join lateral {{ exchange_rate_of('wanted') }} as found on true
{%- endmacro %}

{#
  The rate of one row, for a lateral join. row: an alias with currency, functional_currency, rate_source,
  rate_max_age_days, rate_on and known_at. A row in the currency of the books has none.
#}
{% macro exchange_rate_of(row) -%}
    (
        select published.rate, published.rate_on, published.exchange_rate_id, published.version
        from {{ ref('exchange_rate') }} as published
        where
            {{ row }}.currency <> {{ row }}.functional_currency
            and published.from_currency = {{ row }}.currency
            and published.to_currency = {{ row }}.functional_currency
            and published.source = {{ row }}.rate_source
            and published.rate_on between {{ row }}.rate_on - {{ row }}.rate_max_age_days and {{ row }}.rate_on
        order by
            published.known_at <= {{ row }}.known_at desc,
            case when published.known_at > {{ row }}.known_at then published.known_at end,
            published.rate_on desc, published.version desc, published.changed_at desc, published.record_id desc
        limit 1
    )
{%- endmacro %}

{# Null where a rate is needed and there is none. Rounded half up to the cent, once. #}
{% macro functional_amount(amount, currency, functional_currency, exchange_rate) -%}
case when {{ currency }} = {{ functional_currency }} then {{ amount }} else round({{ amount }} * {{ exchange_rate }}, 2) end
{%- endmacro %}

{#
  The functional part of a reversal at the original rate. A whole of `amount` stands in the books at `functional`; what is
  taken back goes from `before` to `after`, both counted from nothing and in the whole's direction. Steps add up: when all
  of `amount` is taken back, so is all of `functional`, to the cent, in however many steps.
#}
{% macro functional_step(amount, functional, before, after) -%}
coalesce(
    round({{ functional }} * ({{ after }}) / nullif({{ amount }}, 0), 2)
    - round({{ functional }} * ({{ before }}) / nullif({{ amount }}, 0), 2),
    0
)
{%- endmacro %}

{#
  What an exchange rate cost between two bookings of one amount: above zero a loss, below a gain. `first` is the functional
  amount at the original rate, `last` at the rate of the document that ends it, both in the direction of what is owed.
#}
{% macro exchange_difference(first, last) -%}
({{ last }} - {{ first }})
{%- endmacro %}

{#
  Its two accounts, as (debit, credit): the difference leaves `carrying` (the account that holds it now: expense, for a
  bill; payable, for a payment) for the loss or gain account. Its transaction amount is zero.
#}
{% macro exchange_difference_debit(difference, carrying, loss_account) -%}
case when {{ difference }} > 0 then {{ loss_account }} else {{ carrying }} end
{%- endmacro %}

{% macro exchange_difference_credit(difference, carrying, gain_account) -%}
case when {{ difference }} > 0 then {{ carrying }} else {{ gain_account }} end
{%- endmacro %}

{#
  Which currencies each carrier's contract was in, and from when to when the ERP said so: one object by SCAC. It depends
  on no row, so a statement makes it once, and only where a bill asks.
#}
{% macro contract_currencies() -%}
    (
        select jsonb_object_agg(told.scac, told.contracts)
        from (
            select
                version.scac,
                jsonb_agg(jsonb_build_object(
                    'currency', version.carrier_currency, 'from_at', version.admitted_at,
                    'superseded_at', version.superseded_at
                )) filter (where version.carrier_currency ~ '^[A-Z]{3}$') as contracts
            from (
                select
                    carrier.*,
                    min(carrier.admitted_at) over (
                        partition by carrier.carrier_id order by carrier.version, carrier.changed_at, carrier.record_id
                        rows between 1 following and unbounded following
                    ) as superseded_at
                from {{ ref('stg_erp__carriers') }} as carrier
            ) as version
            where version.scac is not null
            group by version.scac
        ) as told
        where told.contracts is not null
    )
{%- endmacro %}

{# Whether nobody has published the rate that an invoice waits for. waiting: an alias of rate_waiting. #}
{% macro no_rate_published(waiting) -%}
    not exists (
        select 1
        from {{ ref('exchange_rate') }} as published
        where
            published.from_currency = {{ waiting }}.currency
            and published.to_currency = {{ waiting }}.functional_currency
            and published.source = {{ waiting }}.rate_source
            and published.rate_on
            between {{ waiting }}.invoice_on - {{ waiting }}.rate_max_age_days and {{ waiting }}.invoice_on
    )
{%- endmacro %}

{#
  What a part of the claims on a shipment's charge stands at in the books, for a lateral join: at the rates of the bills
  that were claimed, the oldest first. Credits come before what was said in disputes, so that their order is the same
  whenever it is asked. What is more than all claims has the part's own rate. Steps add up: when nothing is claimed any
  more, nothing is left, to the cent.

  part: an alias (none of claim, claimed, earlier, gone and spoken) with shipment_id, charge_code, currency, amount,
  exchange_rate, business_order of a credit and event_id of what was said; the other of the two is null.
#}
{% macro claim_book(part) -%}
    {%- set of_claim = "least(greatest({} - (claim.up_to - claim.amount), 0), claim.amount)" -%}
    {%- set after, before = 'gone.amount + ' ~ part ~ '.amount', 'gone.amount' -%}
    (
        select
            (
                coalesce(sum(
                    round(claim.book * {{ of_claim.format(after) }} / claim.amount, 2)
                    - round(claim.book * {{ of_claim.format(before) }} / claim.amount, 2)
                ), 0)
                + round(
                    greatest({{ after }} - greatest({{ before }}, coalesce(max(claim.up_to), 0)), 0)
                    * {{ part }}.exchange_rate, 2
                )
            )::numeric(18, 2) as book_amount
        from (
            select
                (
                    select coalesce(sum(earlier.recovered_amount), 0)
                    from {{ ref('invoice_line_verdict') }} as earlier
                    where
                        earlier.shipment_id = {{ part }}.shipment_id and earlier.charge_code = {{ part }}.charge_code
                        and earlier.currency = {{ part }}.currency
                        and coalesce(earlier.business_order < {{ part }}.business_order, true)
                )
                + (
                    select coalesce(sum(spoken.amount), 0)
                    from {{ ref('claim_settlement') }} as spoken
                    where
                        spoken.shipment_id = {{ part }}.shipment_id and spoken.charge_code = {{ part }}.charge_code
                        and spoken.currency = {{ part }}.currency and spoken.event_id < {{ part }}.event_id
                ) as amount
        ) as gone
        left join (
            select
                claimed.claimed_amount as amount,
                round(claimed.claimed_amount * claimed.exchange_rate, 2) as book,
                sum(claimed.claimed_amount) over (order by claimed.business_order) as up_to
            from {{ ref('invoice_line_verdict') }} as claimed
            where
                claimed.shipment_id = {{ part }}.shipment_id and claimed.charge_code = {{ part }}.charge_code
                and claimed.currency = {{ part }}.currency and claimed.claimed_amount > 0
        ) as claim on true
        group by gone.amount
    )
{%- endmacro %}
