"""Partner systems to try freightsync against: real protocols on loopback, their own books, faults on demand.

- `config`: what the process is told (ports, tokens, secrets, where to send webhooks and upload files).
- `erp`, `tms`, `wms`, `carriers`, `driver`: the partners' HTTP interfaces; `outbound` and `uploads` send what the
  partners send by themselves (signed webhooks with retries, files by SFTP).
- `scenario`: makes a seeded day of business and, with it, the truth about how the day must end.
- `day`: lets a scenario happen: what is due and whose causes have happened is handed to the partner that does it.
- `server` runs all partners in one process (`python -m freightsync.sandbox serve`), `play` starts a day there.

May import `freightsync.formats` and nothing else of the project: a partner that knew the project's rules could not
contradict them.
"""
