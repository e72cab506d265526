"""A report in words and tables: the same for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from coordgate.audit.intervals import Interval, Rate
from coordgate.audit.next_gate import DETECTION, FALSE_ALARM
from coordgate.audit.parts import UNKNOWN
from coordgate.audit.report import AuditReport, Basis, Compared, Handoff, NodeReport
from coordgate.show import counted, duration


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    """What it is about."""
    head: tuple[str, ...] = ()
    """The names of the columns."""
    rows: tuple[tuple[str, ...], ...] = ()
    """The cells."""
    notes: tuple[str, ...] = ()
    """Sentences below the table."""


def sections(report: AuditReport) -> tuple[Section, ...]:
    """Return the report, part by part; what there is nothing to say of is left out."""
    parts = [_whole(report)]
    if report.nodes:
        parts += [_nodes(report), _handoffs(report), _spending(report)]
    if report.gates:
        parts.append(_gates(report))
    if report.nodes:
        parts.append(_next(report))
    return tuple(parts)


def percent(value: float) -> str:
    """Return a share in percent: never 100% of what is less than all, nor 0% of what is more."""
    if value in {0, 1}:
        return f"{value:.1%}"
    for digits in (1, 3):
        text = f"{value:.{digits}%}"
        if float(text[:-1]) not in {0, 100}:
            return text
    return "<0.001%" if value < 0.5 else ">99.999%"


def of_rate(rate: Rate) -> str:
    """Return a rate with its interval."""
    if rate.estimate is None:
        return "-"
    return f"{percent(rate.estimate)} [{percent(rate.low)}, {percent(rate.high)}]"


def points(amount: Interval) -> str:
    """Return a difference of rates in percentage points, with its interval."""
    if amount.estimate is None:
        return "-"
    return (
        f"{amount.estimate * 100:+.1f} points [{amount.low * 100:+.1f}, {amount.high * 100:+.1f}]"
    )


def named(handoff: Handoff) -> str:
    """Return what a handoff is called."""
    return f"{handoff.producer} -> {handoff.consumer}"


def _whole(report: AuditReport) -> Section:
    if not report.completed.n:  # nothing has ended
        return Section("End to end", notes=(_counted(report),))
    rows = [
        ("completed", str(report.completed.n), of_rate(report.completed)),
        ("accepted", str(report.accepted.n), of_rate(report.accepted)),
    ]
    if report.correct is not None:
        rows.append(("correct", str(report.correct.n), of_rate(report.correct)))
    shown = [("", report.compared, report.basis)]
    if report.compared != report.first_pass:
        shown.append((", first attempts", report.first_pass, "accepted"))
    for title, compared, basis in shown:
        rows += [
            (f"product of the nodes{title}", "", of_rate(compared.product)),
            (f"observed ({basis}){title}", str(compared.observed.n), of_rate(compared.observed)),
            (f"gap{title}", "", points(compared.gap)),
        ]
    notes = [_counted(report), f"Gap: {_meaning(report, report.compared, report.basis)}"]
    if report.compared != report.first_pass:
        notes.append(f"Gap, first attempts: {_meaning(report, report.first_pass, 'accepted')}")
    if report.correct is None:
        notes.append(
            "Accepted is not correct: it says that the gates passed. Labels say what is correct."
        )
    if report.sampled:
        notes.append(
            "The runs went very many different ways: what is said of whole runs, and the widths of "
            "the intervals, rest on a random sample of 10,000 of them."
        )
    return Section("End to end", ("", "runs", "rate [95% interval]"), tuple(rows), tuple(notes))


def _counted(report: AuditReport) -> str:
    runs = report.runs
    said = [
        f"{count} {name}"
        for count, name in (
            (runs.completed, "completed"),
            (runs.failed, "failed"),
            (runs.lost, "lost"),
            (runs.cancelled, "cancelled"),
            (runs.interrupted, "paused for a person"),
            (runs.running, "running"),
        )
        if count
    ]
    if not said:
        return "No runs yet."
    told = f"{counted(runs.total, 'run')}: {', '.join(said)}."
    if 0 < runs.observed < runs.total:
        told += (
            f" Of these {runs.observed} in mode observe, where what is rejected ships; they are "
            "counted with the others."
        )
    return told


def _meaning(report: AuditReport, compared: Compared, basis: Basis) -> str:
    """Return what a difference of product and observed rate means, in a sentence or two."""
    match compared.decided:
        case "tied" if len(report.nodes) == 1:
            return "only one node has run, so there are no parts to compare the whole with."
        case "tied":
            return (
                "cannot be told: after a failure nothing else was tried in any run, so whether "
                "failures come together is not known. First attempts (where a policy repeats them) "
                "or runs in mode observe tell."
            )
        case "undecided" if compared.gap.estimate is None:
            return "nothing is known of it yet."
        case "undecided" if compared.product.estimate == compared.observed.estimate == 1:
            return "none is shown: nothing has failed so far."
        case "undecided":
            return (
                "none is shown: the whole may be what the product of its parts says, or differ by "
                "as much as the interval holds."
            )
        case "above":
            return (
                "the whole does better than the product of its parts: failures come together, on "
                "the same runs. Look for what those inputs have in common."
            )
        case "below":
            if basis == "correct":
                return (
                    "the whole does worse than the product of its parts: something is lost that no "
                    "gate sees. Gate the handoffs named below."
                )
            return (
                "the whole does worse than the product of its parts: runs fail outside their "
                "nodes, or failures keep out of each other's way."
            )
        case _:
            assert_never(compared.decided)


def _nodes(report: AuditReport) -> Section:
    head = ("node", "n", "first pass", "accepted", "how the rest was settled")
    return Section("Nodes", head, tuple(_settled(each) for each in report.nodes))


def _settled(node: NodeReport) -> tuple[str, ...]:
    rest = [
        f"{path.replace('_', ' ')} {rate.successes}"
        for path, rate in node.by_rung.items()
        if path != "first"
    ]
    return (
        node.node,
        str(node.transitions),
        of_rate(node.first_pass),
        of_rate(node.accepted),
        ", ".join(rest) or "-",
    )


def _spending(report: AuditReport) -> Section:
    head = ("node", "p50", "p95", "attempts", "tokens", "cost", "wasted")
    return Section("Spending", head, tuple(_spent(each) for each in report.nodes))


def _spent(node: NodeReport) -> tuple[str, ...]:
    tokens = (
        "-"
        if node.tokens_in is None or node.tokens_out is None
        else f"{node.tokens_in + node.tokens_out:,}"
    )
    return (
        node.node,
        duration(node.p50),
        duration(node.p95),
        str(node.attempts),
        tokens,
        "-" if node.cost is None else f"${node.cost:.4g}",
        f"{percent(node.wasted)} of {node.wasted_of}",
    )


def _handoffs(report: AuditReport) -> Section:
    rows = tuple(
        (named(each), str(each.first_pass.n), of_rate(each.first_pass), of_rate(each.accepted))
        for each in report.handoffs
    )
    notes = [weakest_words(report)]
    if any(each.consumer == UNKNOWN for each in report.handoffs):
        notes.append(f"{UNKNOWN}: it has never handed over, so to whom it would have is not known.")
    return Section("Handoffs", ("handoff", "n", "first pass", "accepted"), rows, tuple(notes))


def weakest_words(report: AuditReport) -> str:
    """Return which handoff is the weakest, or why that is not decided, in a sentence."""
    weakest = report.weakest
    if weakest.handoff is not None:
        return (
            f"Weakest handoff: {named(weakest.handoff)}, "
            f"{of_rate(weakest.handoff.first_pass)} at the first attempt."
        )
    if len(weakest.candidates) < 2:
        return "Weakest handoff: there are no two to compare."
    names = _listed([named(each) for each in weakest.candidates])
    two = "the two" if len(weakest.candidates) == 2 else "the first two"
    more = (
        f"{two} are equal so far, so how many more runs would tell is not known"
        if weakest.more_runs is None
        else f"about {counted(weakest.more_runs, 'more run')} would tell {two} apart"
    )
    return f"Weakest handoff: undecided between {names}; {more}."


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _gates(report: AuditReport) -> Section:
    rows = tuple(
        (
            f"{each.node}: {each.gate}",
            str(each.labelled),
            of_rate(each.precision),
            of_rate(each.recall),
            of_rate(each.false_accept),
            of_rate(each.false_reject),
            of_rate(each.correct_if_passed),
        )
        for each in report.gates
    )
    head = (
        "gate",
        "labelled",
        "precision",
        "recall",
        "false accept",
        "false reject",
        "correct if passed",
    )
    sided = [each for each in report.gates if each.labelled > each.recall.n + each.false_reject.n]
    notes = [
        f"{each.node}: {each.gate}: only what "
        f"{'passed' if each.correct_if_passed.n else 'it rejected'} has labels, so what share it "
        "finds cannot be told: label single attempts too, or runs recorded in mode observe."
        for each in sided
    ]
    return Section("Gates against labels", head, rows, tuple(notes))


def _next(report: AuditReport) -> Section:
    if not report.next_gates:
        silent = [node.node for node in report.nodes if not node.gates]
        note = "No gate is expected to bring anything, by what was seen."
        if silent and report.correct is None:
            note += (
                f" Of {_listed(silent)} nothing is known: no gate looks, and there are no labels."
            )
        return Section("Next gate", notes=(note,))
    rows = tuple(
        (
            each.producer,
            points(each.gain),
            _amount(each.calls),
            "-" if each.tokens is None else _amount(each.tokens),
            _amount(each.seconds),
        )
        for each in report.next_gates
    )
    return Section(
        "Next gate",
        ("on", "gain end to end", "calls a run", "tokens a run", "seconds a run"),
        rows,
        (
            *(f"{each.producer}: {each.reason}." for each in report.next_gates),
            "A gate with one retry; the best gain for each further call first. It is taken to "
            f"reject {FALSE_ALARM:.0%} of what is right, and to find all that contract or gates "
            f"have found, or {DETECTION:.0%} of what only labels have.",
        ),
    )


def _amount(amount: Interval) -> str:
    return f"{amount.estimate:.3g} [{amount.low:.3g}, {amount.high:.3g}]"
