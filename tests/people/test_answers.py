"""Answers: what a person may decide, what is refused, and what then ships."""

import json
from typing import Any

import pytest
from callers import Caller
from langgraph.types import Command, Overwrite, Send
from people import Writer, asking, shown, writing

from coordgate import (
    Approve,
    Contract,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Reject,
    Retry,
    RetryWith,
    guard,
)
from coordgate.testing import RecordingTracer

EDITOR = Escalate("editor")


def start(caller: Caller, write: Any, *rungs: Any, tracer: Any = None, **declared: Any) -> Any:
    """Return the graph `write`, `send` with rungs on `write`: by default a question."""
    nodes = asking(*(rungs or (EDITOR,)), **declared)
    return guard(writing(caller.node(write)), nodes, tracer=tracer).compile(
        checkpointer=caller.saver
    )


def test_the_payload_says_all_a_reviewers_page_needs(caller: Caller) -> None:
    """The interrupt's value is a plain dict, the same as JSON, without knowing the graph."""
    app = start(caller, Writer(), Retry(1), EDITOR)
    payload = shown(caller.invoke(app, {}))
    assert json.loads(json.dumps(payload)) == payload
    assert payload["node"] == "write"
    assert payload["to"] == "editor"
    assert payload["candidate"] == {"draft": "draft 2"}
    assert payload["reasons"] == ["good: it is not good"]
    assert [(each["number"], each["rung"]) for each in payload["attempts"]] == [
        (1, "first"),
        (2, "retry"),
    ]
    assert set(payload["answers"]) == {"approve", "edit", "reject", "retry"}
    assert payload["answers"]["reject"]["required"] == ["decision", "reason"]
    assert "refused" not in payload


@pytest.mark.parametrize("answer", [Approve(by="ann"), {"decision": "approve", "by": "ann"}])
def test_an_approval_ships_what_was_shown(caller: Caller, answer: Any) -> None:
    """Neither the node nor its gates are asked again; who approved is in the record."""
    write, tracer = Writer(), RecordingTracer()
    app = start(caller, write, tracer=tracer)
    assert shown(caller.invoke(app, {}))["candidate"] == {"draft": "draft 1"}
    result = caller.invoke(app, Command(resume=answer))
    assert result == {"draft": "draft 1", "sent": "draft 1", "log": []}
    assert write.calls == 1
    (asked,) = tracer.transitions[-2].attempts
    assert (asked.rung, asked.outcome, asked.number) == ("escalate:editor", "accepted", 2)
    assert (asked.decision, asked.by) == ("approve", "ann")
    assert [run.status for run in tracer.runs] == ["interrupted", "completed"]


def test_an_edit_ships_in_the_candidates_place(caller: Caller) -> None:
    """The update of the answer is what ships, whole."""
    write = Writer({"draft": "bad", "size": 3})
    app = start(caller, write)
    caller.invoke(app, {})
    result = caller.invoke(app, Command(resume=Edit({"draft": "good one"}, by="ann")))
    assert result == {"draft": "good one", "sent": "good one", "log": []}
    assert write.calls == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("yes", "an answer is an object"),
        (17, "an answer is an object"),
        ({"decision": "perhaps"}, "decision: use 'approve', 'edit', 'reject', 'retry'"),
        ({"by": "ann"}, "decision: use"),
        ({"decision": "reject"}, "reason: "),
        ({"decision": "reject", "reason": ""}, "reason: "),
        ({"decision": "retry", "feedback": 3}, "feedback: "),
        ({"decision": "approve", "update": {}}, "update: "),
        (Edit({"draft": 3}), "draft: must be str"),
        (Edit({"drift": "good"}), "did you mean 'draft'"),
        (Edit("good"), "returned str"),
        (Edit({"draft": "bad"}), "good: it is not good"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_the_run_stays_paused(
    caller: Caller, answer: Any, reason: str
) -> None:
    """The question is put again with the reasons, as often as it takes; then it can be answered."""
    write = Writer()
    app = start(caller, write)
    first = shown(caller.invoke(app, {}))
    for _ in range(2):
        again = shown(caller.invoke(app, Command(resume=answer)))
        assert any(reason in each for each in again["refused"]), again["refused"]
        assert again["candidate"] == first["candidate"]
        assert caller.state(app).next == ("write",)
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "draft 1"
    assert write.calls == 1


def test_an_edit_may_override_the_gates_and_never_the_contract(caller: Caller) -> None:
    """With `override` an edit that the gates reject ships; a breach does not."""
    app = start(caller, Writer())
    caller.invoke(app, {})
    again = shown(caller.invoke(app, Command(resume=Edit({"draft": 3}, override=True))))
    assert "draft: must be str" in again["refused"][0]
    result = caller.invoke(app, Command(resume=Edit({"draft": "bad"}, override=True)))
    assert result["sent"] == "bad"


def test_what_breaks_the_contract_cannot_be_approved(caller: Caller) -> None:
    """Approval is not among the answers, and is refused; an edit mends it."""
    app = start(caller, Writer({"draft": 3, "size": {1}}))
    payload = shown(caller.invoke(app, {}))
    assert "approve" not in payload["answers"]
    assert payload["candidate"] == {"draft": 3, "size": [1]}
    again = shown(caller.invoke(app, Command(resume=Approve())))
    assert again["refused"] == ["'approve' is not possible here; use 'edit', 'reject', 'retry'"]
    assert caller.invoke(app, Command(resume=Edit({"draft": "good"})))["sent"] == "good"


def test_a_node_that_raised_has_no_candidate(caller: Caller) -> None:
    """The person is told of the exception, and may state the update."""
    app = start(caller, Writer(ConnectionError("down")))
    payload = shown(caller.invoke(app, {}))
    assert payload["candidate"] is None
    assert payload["reasons"] == ["ConnectionError: down"]
    assert set(payload["answers"]) == {"edit", "reject", "retry"}
    assert caller.invoke(app, Command(resume=Edit({"draft": "good"})))["sent"] == "good"


def test_a_bad_input_can_be_answered_and_not_retried(caller: Caller) -> None:
    """The node is not run on what it does not accept, on nobody's word."""
    write = Writer()
    spec = NodeGuard(contract=Contract(accepts={"size": int}), policy=Policy(EDITOR))
    app = guard(writing(caller.node(write)), {"write": spec}).compile(checkpointer=caller.saver)
    payload = shown(caller.invoke(app, {"size": "long"}))
    assert set(payload["answers"]) == {"edit", "reject"}
    assert caller.invoke(app, Command(resume=Edit({"draft": "good"})))["sent"] == "good"
    assert write.calls == 0


def test_a_rejection_goes_on_with_the_next_rung(caller: Caller) -> None:
    """After a person's no comes the fallback, the stated answer, or the next person."""
    app = start(caller, Writer(), EDITOR, Fallback(lambda state: {"draft": "good template"}))
    caller.invoke(app, {})
    assert caller.invoke(app, Command(resume=Reject("no")))["sent"] == "good template"

    app = start(caller, Writer(), EDITOR, Degrade({"draft": "sorry"}))
    caller.invoke(app, {}, "2")
    assert caller.invoke(app, Command(resume=Reject("no")), "2")["sent"] == "sorry"

    app = start(caller, Writer(), EDITOR, Escalate("chief"))
    caller.invoke(app, {}, "3")
    asked = shown(caller.invoke(app, Command(resume=Reject("no", by="ann")), "3"))
    assert asked["to"] == "chief"
    assert asked["reasons"] == ["good: it is not good", "escalate:editor: ann: no"]
    assert asked["candidate"] == {"draft": "draft 1"}
    assert caller.invoke(app, Command(resume=Approve()), "3")["sent"] == "draft 1"


def test_a_rejection_past_the_last_rung_fails_and_names_the_reason(caller: Caller) -> None:
    """The error says who rejected, and why."""
    app = start(caller, Writer())
    caller.invoke(app, {})
    with pytest.raises(GateRejected) as caught:
        caller.invoke(app, Command(resume=Reject("too long", by="ann")))
    assert caught.value.gate == "escalate:editor"
    assert caught.value.reasons == ("good: it is not good", "escalate:editor: ann: too long")
    assert caught.value.attempts == 2


def test_a_retry_tells_the_node_what_the_person_said(caller: Caller) -> None:
    """The node runs again with the feedback; if it fails again, the person is asked again."""
    write = Writer()
    app = start(caller, write, Retry(1), EDITOR)
    caller.invoke(app, {})
    again = shown(caller.invoke(app, Command(resume=RetryWith("shorter", by="ann"))))
    assert write.calls == 3
    assert write.told[-1].reasons == ("shorter",)
    assert write.told[-1].rejected == {"draft": "draft 2"}
    assert write.told[-1].attempt == 4
    assert again["candidate"] == {"draft": "draft 3"}
    assert "refused" not in again
    write.drafts = ["good at last"]
    result = caller.invoke(app, Command(resume=RetryWith("shorter", by="ann")))
    assert result["sent"] == "good at last"
    assert write.calls == 4


def test_where_the_output_goes_survives_an_approval_and_an_edit(caller: Caller) -> None:
    """A Command ships as one, with its goto; the reviewer sees the targets."""

    def graph(write: Any) -> Any:
        builder = writing(caller.node(write))
        builder.edges.discard(("write", "send"))
        return guard(builder, asking(EDITOR)).compile(checkpointer=caller.saver)

    command = Command(update={"draft": "bad"}, goto="send")
    for thread, answer, sent in (
        ("1", Approve(), "bad"),
        ("2", Edit({"draft": "good"}), "good"),
    ):
        app = graph(Writer(command))
        payload = shown(caller.invoke(app, {}, thread))
        assert payload["candidate"] == {"draft": "bad"}
        assert payload["goto"] == ["send"]
        assert caller.invoke(app, Command(resume=answer), thread)["sent"] == sent

    app = graph(Writer([{"draft": "bad"}, Command(goto=Send("send", {"draft": "by hand"}))]))
    assert shown(caller.invoke(app, {}, "3"))["goto"] == ["send"]
    assert caller.invoke(app, Command(resume=Approve()), "3")["sent"] == "by hand"


def test_a_node_with_effects_is_not_run_again_for_a_person(caller: Caller) -> None:
    """`effects="external"` leaves out the answer that would repeat the node."""
    app = start(caller, Writer(), effects="external")
    payload = shown(caller.invoke(app, {}))
    assert set(payload["answers"]) == {"approve", "edit", "reject"}
    assert "refused" in shown(caller.invoke(app, Command(resume=RetryWith("again"))))


def test_an_overwrite_ships_as_one(caller: Caller) -> None:
    """The reviewer sees the value, and the reducer is still bypassed."""
    app = start(caller, Writer({"draft": "bad", "log": Overwrite(["new"])}))
    payload = shown(caller.invoke(app, {"log": ["old"]}))
    assert payload["candidate"] == {"draft": "bad", "log": ["new"]}
    assert caller.invoke(app, Command(resume=Approve()))["log"] == ["new"]
