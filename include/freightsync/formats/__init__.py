"""Bytes <-> typed records, and nothing else: no I/O beyond the stream handed in, no clock, no settings.

May import `freightsync.domain` only. What cannot be read is returned beside the records as findings with a
position; nothing here turns an unreadable value into a default.
"""
