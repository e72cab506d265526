"""Reliability on paper: the analytic figures, and the gate model against simulation."""

from __future__ import annotations

import json
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordgate.audit import GateModel, reliability, series
from coordgate.cli import main
from coordgate.errors import ConfigurationError

rates = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


def test_four_nodes_and_their_handoffs_are_right_to_the_last_digit() -> None:
    """.98 .96 .97 .95 with handoffs of .97: .8669472 naive, .7912393018656 end to end."""
    design = reliability({"a": 0.98, "b": 0.96, "c": 0.97, "d": 0.95}, handoffs=0.97)
    assert design.naive == 0.8669472
    assert design.end_to_end == 0.7912393018656
    assert design.gap == 0.0757078981344
    assert [step.node for step in design.steps] == ["a", "b", "c", "d"]
    assert (design.stopped, design.calls) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("rate", "steps", "exact"),
    [
        (0.97, 6, 0.832972004929),
        (0.95, 5, 0.7737809375),
        (0.97, 3, 0.912673),
        (0.97, 2, 0.9409),
        (0.97, 5, 0.8587340257),
    ],
)
def test_a_series_is_the_product_of_its_parts(rate: float, steps: int, exact: float) -> None:
    """Six steps at 97% come to 83.3%, five at 95% to 77.4%, three at 97% to 91.3%."""
    assert series([rate] * steps) == exact
    assert reliability([rate] * steps).end_to_end == exact


def test_each_further_agent_multiplies() -> None:
    """Agents of 97% come to 94, 91, 89 and 86 in a hundred, two to five of them."""
    so_far = [round(step.correct, 2) for step in reliability([0.97] * 5).steps]
    assert so_far == [0.97, 0.94, 0.91, 0.89, 0.86]


@given(st.lists(rates, min_size=1, max_size=8))
def test_a_series_equals_the_product_in_exact_fractions(parts: list[float]) -> None:
    """The product is rounded once, at the end, whatever the rates are."""
    exact = Fraction(1)
    for part in parts:
        exact *= Fraction(round(part * 1000), 1000)
    assert series(parts) == float(exact)


@given(
    st.lists(rates, min_size=1, max_size=5), rates, st.builds(GateModel, rates, rates, st.just(3))
)
def test_every_run_ends_right_wrong_or_stopped(
    nodes: list[float], handoff: float, gate: GateModel
) -> None:
    """The three ways to be absorbed add up to one, after every node."""
    design = reliability(nodes, handoffs=handoff, gates=gate)
    for step in design.steps:
        assert step.correct + step.wrong + step.stopped == pytest.approx(1)
    assert design.calls <= 3 * len(nodes)


def simulated(
    nodes: list[float], handoff: float, gates: dict[int, GateModel], runs: int
) -> tuple[float, float, float, float]:
    """Return the shares right, wrong and stopped, and the calls a run, of simulated runs."""
    chance = random.Random(20)  # noqa: S311 - a simulation
    ended = {"right": 0, "wrong": 0, "stopped": 0}
    calls = 0
    for _ in range(runs):
        right, stopped = True, False
        for place, rate in enumerate(nodes):
            right = right and (place == 0 or chance.random() < handoff)
            gate = gates.get(place)
            for _ in range(gate.attempts if gate else 1):
                calls += 1
                good = right and chance.random() < rate
                rejects = gate and chance.random() < (gate.false_alarm if good else gate.detection)
                if not rejects:
                    right = good
                    break
            else:
                stopped = True
                break
        ended["stopped" if stopped else "right" if right else "wrong"] += 1
    return ended["right"] / runs, ended["wrong"] / runs, ended["stopped"] / runs, calls / runs


@pytest.mark.parametrize(
    ("handoff", "gates"),
    [
        (1.0, {place: GateModel(0.9, 0.05, 3) for place in range(4)}),
        (0.9, {1: GateModel(0.7, 0.2, 2), 3: GateModel(1.0, 0.0, 4)}),
        (0.95, {}),
    ],
)
def test_the_gate_model_agrees_with_simulation(handoff: float, gates: dict[int, GateModel]) -> None:
    """Absorption in the chain is what 40,000 simulated runs come to, within 4.5 deviations."""
    nodes = [0.9, 0.8, 0.95, 0.7]
    runs = 40_000
    named = {f"n{place}": rate for place, rate in enumerate(nodes)}
    design = reliability(
        named, handoffs=handoff, gates={f"n{place}": gate for place, gate in gates.items()}
    )
    right, wrong, stopped, calls = simulated(nodes, handoff, gates, runs)
    for exact, seen in (
        (design.end_to_end, right),
        (design.wrong, wrong),
        (design.stopped, stopped),
    ):
        assert abs(exact - seen) <= 4.5 * (exact * (1 - exact) / runs) ** 0.5
    assert design.calls == pytest.approx(calls, rel=0.02)


def test_a_gate_cannot_mend_a_wrong_input() -> None:
    """A perfect gate with many attempts stops what a handoff spoilt; it does not put it right."""
    design = reliability([1.0, 0.5], handoffs=0.8, gates=GateModel(1.0, 0.0, 60))
    assert design.end_to_end == pytest.approx(0.8)
    assert design.stopped == pytest.approx(0.2)
    assert design.wrong == 0.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"nodes": [1.2]}, "the rate 1.2"),
        ({"nodes": []}, "no nodes"),
        (
            {"nodes": [0.9, 0.9], "handoffs": [0.9, 0.9]},
            "2 nodes in a row have 1 handoff,",
        ),
        ({"nodes": {"a": 0.9}, "gates": {"b": GateModel(1, 0, 1)}}, "'b', which is no node"),
        ({"nodes": [0.9], "gates": GateModel(1, 0, 0)}, "0 attempts"),
        ({"nodes": [0.9], "gates": GateModel(1, float("nan"), 1)}, "false_alarm has the rate nan"),
    ],
)
def test_what_is_no_design_is_refused(arguments: dict[str, object], told: str) -> None:
    """A rate that is none, too many handoffs, a gate on nothing: each is named."""
    with pytest.raises(ConfigurationError, match=told):
        reliability(**arguments)  # type: ignore[arg-type]


def test_the_command_prints_the_design(capsys: pytest.CaptureFixture[str]) -> None:
    """`coordgate reliability` multiplies out what it is given."""
    assert main(["reliability", ".98", "0.96", "0.97", "0.95", "--handoffs", "0.97"]) == 0
    shown = capsys.readouterr().out
    assert "naive       0.8669" in shown
    assert "end to end  0.7912" in shown
    assert "gap         0.0757" in shown
    assert main(["reliability", ".97", ".97", "--detection", "0.9", "--attempts", "3"]) == 0
    assert "stopped" in capsys.readouterr().out


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints every digit."""
    line = ["reliability", ".98", "0.96", "0.97", "0.95", "--handoffs", "0.97", "--json"]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["end_to_end"] == 0.7912393018656


def test_the_command_refuses_what_is_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """A rate over 1, or handoffs that do not fit, end with code 2 and one line."""
    for line in (
        ["reliability", "97"],
        ["reliability", ".9", ".9", "--handoffs", ".9", ".9"],
        ["reliability", ".9", "--handoffs", ".9", ".9"],
        ["reliability", ".9", "--false-alarm", ".1"],  # of a gate that is not there
        ["reliability", ".9", "--attempts", "3"],
    ):
        assert main(line) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_command_takes_nearly_all_for_all_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """What is less than 1 is not printed as 1, nor what is more than 0 as 0."""
    gate = ["--detection", "0.999", "--attempts", "3"]
    assert main(["reliability", "0.999999", "0.99999999", *gate]) == 0
    shown = capsys.readouterr().out
    assert "naive       1-1e-06" in shown
    assert "stopped     1.0e-09  by a gate" in shown
    assert "1.0000  completed" not in shown
    assert main(["reliability", "1", "1"]) == 0
    assert "end to end  1.0000" in capsys.readouterr().out
