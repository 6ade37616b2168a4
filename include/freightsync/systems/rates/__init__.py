"""Rate cards, fuel prices and band tables, as the pricing team and publishers leave them: tables over SFTP, by mapping."""
