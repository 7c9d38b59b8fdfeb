"""The whole comparison: nothing lost, nothing counted twice, every list as it follows from the state."""

from . import log as logs
from .fold import fold_placed
from .judge import judge_counters, judge_letters, judge_offsets, judge_state, owners, union
from .judge_lists import judge_lists, judge_popular
from .observe import DRAIN_S, observe
from .report import Report


def judge(observed, ledger, log, rules_of, *, shared=False, **arms):
    """A Report on what was observed; asks nobody. rules_of: an arm's Rules, None for the base."""
    report = Report(events=len(log.placed))
    report.find("log", log.findings)
    report.find("process", [
        f"{instance.name}: exit status {instance.exit_status} after SIGTERM"
        for instance in observed.instances if instance.exit_status != 0
    ])
    state = fold_placed(log.placed, rules_of(None), log.said)
    owner_of, wrong = owners(observed, ledger.partitions)
    report.find("state", wrong)
    whole = union(observed, owner_of)
    report.users = len(state.users)
    judge_counters(report, observed, whole, state, ledger, log)
    judge_offsets(report, observed, whole, ledger.partitions)
    judge_letters(report, observed, log)
    judge_state(report, observed, whole, state)
    judge_lists(
        report, observed, owner_of, state, rules_of, shared=whole if shared else None, **arms
    )
    judge_popular(report, observed, owner_of)
    return report


def check(
    freshet, ledger, kafka, redis, *, instances=None, stop=True, shared=False, deadline_s=DRAIN_S,
    **arms,
):
    """Drains, publishes all, ends the instances by SIGTERM (unless stop is False), and compares.

    freshet, instances: harness.Freshet, running; several on one group are given as instances.
    kafka, redis: what services.Kafka and services.Redis can. shared: instances know all item sums.
    arms: arm_of and series, see judge_lists.Lists. All of the ledger must have been delivered."""
    freshets = instances or [freshet]
    log = logs.look(ledger, kafka)
    observed = observe(freshets, ledger, log, kafka, redis, stop=stop, deadline_s=deadline_s)
    return judge(observed, ledger, log, freshets[0].rules, shared=shared, **arms)
