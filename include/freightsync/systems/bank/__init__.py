"""Banks: account statements that they leave on the SFTP server."""
