"""The local stack: PostgreSQL, SFTP, the sandbox partners and Airflow on free loopback ports, under one supervisor.

`freightsync up`, `down` and `status` are its commands. It stands beside the CLI in the import order: it may use every
room, none uses it but the CLI, and like all of this package it never imports airflow: what needs Airflow's own Python
runs in `plugins/freightsync_airflow/bootstrap.py`, as a process.

home.py         directories, secrets and ports that one installation keeps
environment.py  what Airflow and the other processes are told
processes.py    starting, recognising and ending processes
services.py     what runs, how it is known to be ready
supervisor.py   the daemon that starts everything in order and again when it dies
control.py      up, down, status: the other end of the daemon
databases.py    which server, and a fresh warehouse in a moment
prepare.py      roles, databases, migrations, rules, models; a deployment calls it too
display.py      progress as people see it
"""

from freightsync.stack.control import StackError, StackStatus, destroy_database, down, reset_day, status, up

__all__ = ["StackError", "StackStatus", "destroy_database", "down", "reset_day", "status", "up"]
