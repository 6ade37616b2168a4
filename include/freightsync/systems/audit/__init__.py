"""Freight audit platforms: what they found about carriers' bills, as tables over SFTP or calls to our API."""
