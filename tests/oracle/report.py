"""What a check says."""

import dataclasses
from collections import Counter

SHOWN = 8  # findings of each kind


@dataclasses.dataclass
class Report:
    """Numbers and sentences. A sentence begins with what it is about: "state: ...", "counters: ...",
    "lists: ...", "dead letters: ...", "offsets: ...", "generations: ...", "log: ...", "process: ..."."""

    events: int = 0  # records of the events topic
    lost: int = 0  # of them, those that the state does not have, and bad ones without a dead letter
    doubled: int = 0  # of them, those that the state has more than once
    wrong: int = 0  # findings
    findings: list = dataclasses.field(default_factory=list)
    users: int = 0
    lists: int = 0  # compared
    dead: int = 0  # bad events
    redelivered: int = 0  # dead letters beyond the first of a position, which are allowed
    counted: Counter = dataclasses.field(default_factory=Counter)  # applied, duplicate, late, ...

    def find(self, about, sentences):
        """Adds what is wrong."""
        self.wrong += len(sentences)
        self.findings += [f"{about}: {sentence}" for sentence in sentences]

    @property
    def ok(self):
        return not (self.lost or self.doubled or self.wrong or self.findings)

    def raise_if_any(self):
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self):
        numbers = (
            f"events {self.events}, lost {self.lost}, doubled {self.doubled}, wrong {self.wrong}; "
            f"users {self.users}, lists {self.lists}, dead letters {self.dead} "
            f"({self.redelivered} again)"
        )
        by_kind = {}
        for finding in self.findings:
            by_kind.setdefault(finding.split(":")[0], []).append(finding)
        lines = [numbers]
        for kind, findings in by_kind.items():
            rest = len(findings) - SHOWN
            lines += findings[:SHOWN] + ([f"{kind}: ... and {rest} more"] if rest > 0 else [])
        return "\n".join(lines)
