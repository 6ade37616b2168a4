"""Names, money, statuses, typed errors: what every room may speak of. No I/O, no clock, imports nothing of ours."""
