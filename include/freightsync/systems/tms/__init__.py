"""TMS / logistics SaaS: lanes, plans, lifecycle events in; orders out."""

from freightsync.systems.tms.outbound import TmsSender, sender

__all__ = ["TmsSender", "sender"]
