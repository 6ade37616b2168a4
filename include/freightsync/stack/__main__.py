"""`python -m freightsync.stack supervise`: what `freightsync up` starts."""

from freightsync.stack.supervisor import main

main()
