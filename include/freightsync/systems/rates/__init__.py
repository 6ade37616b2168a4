"""Rate cards, fuel prices and band tables, as the pricing team leaves them: tables over SFTP, by mapping."""
