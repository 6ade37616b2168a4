"""What the triggerer runs: event triggers that wake a DAG through an asset watcher and hold no worker.

All are level-triggered: they look at what is waiting, and a notification only makes them look sooner. So nothing is
lost when the triggerer is killed, and a burst of a thousand events wakes a DAG once.
"""
