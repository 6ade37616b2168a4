"""Partner systems: one folder each, of small files: settings, client (the only I/O), parse (pure), codes, sender.

A system never imports another one, nor a stage. What they share lies here: `parsed` (what a parser returns), `http`,
`writing` and `sftp` (how a connection is made and how its failures are typed), `partners` (what differs by carrier).

A new carrier that leaves files is an entry in partners.yaml and, for a table, a mapping in carrier_api/mappings/.
"""
