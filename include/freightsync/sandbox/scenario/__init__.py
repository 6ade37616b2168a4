"""A seeded day of business, and the truth about how it must end, written down before anything runs.

`generate(seed, orders)` gives a `Scenario`:

- `actions`: what partners' people and systems do, in business time (see `day` for what an action is);
- `expected_orders`: what the TMS is to be sent, order version by order version; it refuses anything else;
- `truth`: how all books must look when everything has been worked off, document by document.

The truth comes from what the generator decides ("this load is billed 4 % over a 3 % rule"), never from running the
project's rules; where arithmetic is needed (a share of freight by weight, a reversal that grows bill by bill) `sums`
does it from the wording of the contract. The same seed and number of orders give the same bytes anywhere.

The day is made so that its outcome does not depend on how the work is cut: bills that build on another bill (a
duplicate, a balance due, a credit) are sent once the ERP shows the first one's payable; a shipment whose plan changed
is dispatched once the ERP shows the new plan; an order is changed or cancelled once its first plan is there.
"""

from freightsync.sandbox.scenario.generator import Scenario, generate

__all__ = ["Scenario", "generate"]
