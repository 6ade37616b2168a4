"""Carriers that send EDI files over SFTP: 214 statuses, 210 and INVOIC bills; and what we answer to them."""

from freightsync.systems.carrier_edi.outbound import CarrierEdiSender, sender

__all__ = ["CarrierEdiSender", "sender"]
