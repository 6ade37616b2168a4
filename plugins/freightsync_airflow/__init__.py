"""Everything Airflow-shaped: what DAG files are wired from, and what the components of Airflow load.

May import Airflow and any room of `freightsync`; nothing under `freightsync` imports this.

    policy      how a DAG of ours looks: owners, retries, pools, schedules with a sweep behind them
    assets      the assets of the process map and the watchers that wake them
    stages      the tasks of a pipeline
    errors      the one place where typed errors become Airflow's fail or retry
    executor    LocalExecutor that forks workers with the heavy imports done, without the deferral race
    triggers    what the triggerer runs: NOTIFY, SFTP directories, partners' deltas
    inbound     the web application that partners' webhooks reach
"""
