"""A token bucket that a partner's `Retry-After` can close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """`take()` waits for its turn: `burst` at once, `per_second` in the long run. Safe for threads."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError("a rate and a burst above zero")
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._filled_at = clock()
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

    def take(self) -> None:
        """Reserves the next token and waits until it is due."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
            self._filled_at = now
            self._tokens -= 1
            wait = max(-self._tokens / self._per_second if self._tokens < 0 else 0.0, self._closed_until - now)
        if wait > 0:
            self._sleep(wait)

    def close_for(self, seconds: float) -> None:
        """Nobody gets a token before `seconds` have passed."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def closed_for(self) -> float:
        """Seconds until it opens again; 0 where it is open."""
        with self._lock:
            return max(0.0, self._closed_until - self._clock())
