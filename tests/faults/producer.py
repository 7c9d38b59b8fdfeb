"""A ledger's records on their way to Kafka, at a rate, in a thread."""

import math
import threading
import time

from oracle.sender import Sender

CHUNK = 500  # records at once, at most
CHUNK_S = 0.02  # the pace: how often what is due is sent
GIVE_UP_S = 600


class Load:
    """`events` of a ledger's records (None: until finish() is called), `rate` a second (None: at
    once; or a function of the seconds since it began).

    .produced counts; .done() says whether all are in the log, .join() waits for it. finish() ends it
    after what is under way; stop() at once, when nobody will look at the log any more."""

    def __init__(self, bootstrap, ledger, events, rate=None):
        self.ledger, self.rate = ledger, rate
        self.events = math.inf if events is None else events
        self.produced = 0
        self.error = None
        self.stopping = False
        self.sender = Sender(bootstrap)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _due(self, passed, allowed, step_s):
        rate = self.rate(passed) if callable(self.rate) else self.rate
        return allowed + (CHUNK if rate is None else rate * step_s)

    def _run(self):
        began = before = time.monotonic()
        allowed = 0.0
        try:
            while self.produced < self.events and not self.stopping:
                now = time.monotonic()
                allowed, before = self._due(now - began, allowed, now - before), now
                count = int(min(allowed, CHUNK, self.events - self.produced))
                self.sender.send(self.ledger.next(count))
                self.produced += count
                allowed -= count
                if allowed < CHUNK and self.rate is not None:
                    self.sender.producer.poll(CHUNK_S)
            if not self.stopping:
                self.sender.flush(GIVE_UP_S)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def done(self):
        if self.error:
            raise self.error
        return not self.thread.is_alive()

    def join(self, deadline_s=GIVE_UP_S):
        """All are in the log; the load."""
        self.thread.join(deadline_s)
        if not self.done():
            raise AssertionError(f"not within {deadline_s} s: {self.events} records produced")
        return self

    def finish(self):
        """No more than what is under way now; the load, when that is in the log."""
        self.events = 0
        return self.join()

    def stop(self):
        self.stopping = True
        self.thread.join(GIVE_UP_S)
        self.sender.producer.purge()
