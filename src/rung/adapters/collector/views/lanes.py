"""
Send one kind of thing again and again: when it is due, and after a failure when that makes sense.

In        a function that makes the next message, and one that posts it
Out       messages sent, each until it is accepted or refused; counts in the registry
Not here  HTTP (posting.py), what a message holds (otlp.py)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message

from rung.adapters.collector.views.posting import Answer
from rung.adapters.collector.views.registry import Registry

FIRST_S = 1.0
PAUSE_S_MAX = 60.0
_WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Parcel:
    """
    A message ready to be sent, with how many items are in it.
    """

    body: bytes
    items: int


class Lane:
    """
    One kind of thing: metrics, traces or logs.

    Attributes:
        due_s: When it is looked at again, of the monotonic clock.
    """

    def __init__(
        self,
        signal: str,
        *,
        every_s: float,
        make: Callable[[], Parcel | None],
        answer: Callable[[], Message],
        registry: Registry,
        say: Callable[[str], None],
        generator: random.Random,
        keeps: bool = True,
    ) -> None:
        """
        Args:
            make: Returns the next message, None where there is nothing to send.
            answer: Makes the message that the receiver answers with.
            keeps: Whether a message that could not be sent is sent later; otherwise a newer one takes its place.
        """
        self.signal, self.every_s, self.due_s = signal, every_s, 0.0
        self._make, self._answer, self._registry, self._say = make, answer, registry, say
        self._generator, self._keeps = generator, keeps
        self._held: Parcel | None = None
        self._failures = 0
        self._troubles: set[str] = set()

    def turn(self, post: Callable[[str, bytes], Answer], now_s: float) -> None:
        """
        Send what is there, until nothing is left or the receiver does not take it.
        """
        while True:
            parcel, self._held = self._held or self._make(), None
            if parcel is None:
                self.due_s = now_s + self.every_s
                return
            answer = post(f"/v1/{self.signal}", parcel.body)
            if answer.again:
                self._pause(parcel, answer, now_s)
                return
            self._failures = 0
            if answer.accepted:
                self._accepted(parcel, answer)
            else:
                self._count("rung.otlp.lost", parcel.items, "refused")
                self._tell(f"{answer.trouble}, which no second attempt would change")
            if not self._keeps:
                self.due_s = now_s + self.every_s
                return

    def _pause(self, parcel: Parcel, answer: Answer, now_s: float) -> None:
        self._held = parcel if self._keeps else None
        self._failures += 1
        self._registry.add("rung.otlp.retries", (self.signal,))
        pause_s = answer.after_s
        if pause_s is None:
            # As many clients as there are would come back in the same moment otherwise.
            most_s = min(PAUSE_S_MAX, FIRST_S * 2.0 ** min(self._failures - 1, 10))
            pause_s = most_s * self._generator.uniform(0.5, 1.0)
        self.due_s = now_s + pause_s
        self._tell(f"{answer.trouble}; it is tried again")

    def _accepted(self, parcel: Parcel, answer: Answer) -> None:
        rejected, words = 0, ""
        message = self._answer()
        try:
            message.ParseFromString(answer.body)
        except DecodeError:  # a receiver that answers in its own way has taken it all the same
            pass
        else:
            partial = message.partial_success
            rejected = sum(value for field, value in partial.ListFields() if field.name.startswith("rejected_"))
            words = partial.error_message
        self._count("rung.otlp.sent", max(0, parcel.items - rejected))
        if rejected:
            self._count("rung.otlp.lost", rejected, "rejected")
        if words or rejected:
            shown = " ".join(words.split())[:_WORDS_MAX] or "for no stated reason"
            self._tell(f"the receiver rejected {rejected} of {parcel.items} items: {shown!r}", kind="partial")

    def _count(self, name: str, items: int, *reason: str) -> None:
        self._registry.add(name, (self.signal, *reason), items)

    def _tell(self, trouble: str, *, kind: str | None = None) -> None:
        kind = kind or trouble
        if kind not in self._troubles:
            self._troubles.add(kind)
            self._say(f"rung: {self.signal} cannot all be sent: {trouble}\nrung: recording goes on.\n")
