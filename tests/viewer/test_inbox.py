"""The review inbox: questions of a process that was killed, shown and answered in another."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from desks import ORIGIN, desk_in, form_of, hidden, ledger, links, post, reviewing, settled

from coordgate.cli import main
from coordgate.loading import open_graph
from coordgate.process import identity
from coordgate.record import RunId, ThreadId
from coordgate.stores import open_store


def shown(text: str) -> str:
    """Return the text of a page as it is read, its white space made one."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("app", ["desk", "adesk"])
def test_an_approval_ships_what_was_shown(tmp_path: Path, app: str) -> None:
    """Sync or async: listed, shown, approved; the node does not run again; who did is recorded."""
    desk_in(tmp_path)
    with reviewing(tmp_path, app) as client:
        (link,) = links(client)
        text = client.get(link).text
        assert '"draft": "bad"' in unescape(text)
        assert "good: it is not good: bad" in shown(text)
        page = post(client, hidden(text), decision="approve", by="ann")
        assert "Taken; the run is complete." in shown(settled(client, page))
        assert links(client) == []
        assert "Nothing waits for a person." in client.get("/inbox").text
        assert "approve by ann" in shown(client.get(str(page.url)).text)
    assert ledger(tmp_path) == ["wrote", "sent 'bad'"]


def test_an_edit_is_checked_and_nothing_typed_is_lost(tmp_path: Path) -> None:
    """No JSON, a broken contract, a gate: each says why beside what was typed, until one passes."""
    desk_in(tmp_path)
    with reviewing(tmp_path) as client:
        form = form_of(client)
        page = post(client, form, decision="edit", update='{"draft": "good', by="ann")
        assert page.status_code == 422
        assert "this is no JSON" in shown(page.text)
        assert '{"draft": "good</textarea>' in unescape(page.text)
        assert 'value="ann"' in page.text
        form = hidden(page.text)
        for update, reason in (
            ('{"draft":   3}', "draft: must be str"),
            ('{"draft":   "worse"}', "good: it is not good: worse"),
        ):
            page = post(client, form, decision="edit", update=update)
            text = settled(client, page)
            assert "The last answer was refused" in shown(text)
            assert reason in shown(text)
            assert f"{update}</textarea>" in unescape(text)
            assert hidden(text)["question"] != form["question"]
            form = hidden(text)
        page = post(client, form, decision="edit", update='{"draft": "worse"}', override="1")
        assert "complete" in shown(settled(client, page))
    assert ledger(tmp_path) == ["wrote", "sent 'worse'"]


def test_a_rejection_ends_the_run_and_a_retry_asks_again(tmp_path: Path) -> None:
    """Each wants its words; what came of it is said, and the next question is linked."""
    desk_in(tmp_path, "one", "two")
    with reviewing(tmp_path) as client:
        form = form_of(client)
        page = post(client, form, decision="reject", reason=" ")
        assert page.status_code == 422
        assert "say why" in shown(page.text)
        text = settled(client, post(client, form, decision="reject", reason="no", by="ann"))
        assert "the run has ended with this rejection" in shown(text)
        assert "ann: no" in shown(text)
        form = form_of(client)
        assert post(client, form, decision="retry").status_code == 422
        text = settled(client, post(client, form, decision="retry", feedback="shorter"))
        assert "Taken; the run waits again." in shown(text)
        (again,) = re.findall(r'href="(/inbox/question[^"]*)"', text)
        asked = client.get(unescape(again)).text
        assert "escalate:editor: shorter" in shown(asked)
        assert post(client, form, decision="nothing").status_code == 200
        assert post(client, hidden(asked), decision="nothing").status_code == 422
    assert ledger(tmp_path) == ["wrote"] * 3


def test_a_run_that_fails_after_its_answer_shows_why(tmp_path: Path) -> None:
    """The error of the node that failed is on the page, and the run is linked."""
    desk_in(tmp_path)
    with reviewing(tmp_path) as client:
        update = '{"draft": "good, but it fails"}'
        text = settled(client, post(client, form_of(client), decision="edit", update=update))
        assert "Taken; the run has failed:" in shown(text)
        assert "ValueError: the mail server is away" in shown(text)


def test_a_question_that_was_answered_meanwhile_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer to what is gone, or is another question now, says so and keeps what was typed."""
    desk_in(tmp_path, "one", "two")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edit.json").write_text('{"draft": "no"}')
    with reviewing(tmp_path) as client:
        forms = {json.loads(form["question"])[0]: form for form in map(hidden_of(client), (0, 1))}
        assert main(["review", "desk.py:desk", "1", "--edit", "edit.json"]) == 1
        page = post(client, forms["1"], decision="edit", update='{"draft": "good for one"}')
        assert page.status_code == 409
        assert "Your answer was not used" in shown(page.text)
        assert '{"draft": "good for one"}</textarea>' in unescape(page.text)
        assert "The last answer was refused" in shown(page.text)
        assert main(["review", "desk.py:desk", "2", "--approve"]) == 0
        page = post(client, forms["2"], decision="reject", reason="too late")
        assert page.status_code == 409
        assert "does not wait any more" in shown(page.text)
        assert "too late" in shown(page.text)
        assert client.get(f"/inbox/question?thread=2&id={'0' * 32}").status_code == 404
        for number in ("7", "x", "9" * 5_000):
            assert client.get(f"/inbox/answers/{number}").status_code == 404
    assert ledger(tmp_path) == ["wrote", "wrote", "sent 'two'"]


def hidden_of(client):  # type: ignore[no-untyped-def]
    """Return what gives the hidden fields of each question that waits now."""
    texts = [client.get(link).text for link in links(client)]
    return lambda place: hidden(texts[place])


def test_an_answer_that_is_sent_twice_counts_once(tmp_path: Path) -> None:
    """All at once or again later: one answer, one page; another answer is told of as unused."""
    desk_in(tmp_path)
    with reviewing(tmp_path) as client:
        form = form_of(client)
        with ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(lambda _: post(client, form, decision="approve"), range(8)))
        assert {str(page.url) for page in pages} == {f"{ORIGIN}/inbox/answers/1"}
        assert "complete" in shown(settled(client, pages[0]))
        late = post(client, form, decision="reject", reason="no")
        assert "Your answer was not used" in shown(late.text)
        assert "complete" in shown(late.text)
    assert ledger(tmp_path) == ["wrote", "sent 'bad'"]


def test_two_questions_of_one_run_are_answered_apart(tmp_path: Path) -> None:
    """Both at the same time: each gets its own answer, once, one run after the other."""
    desk_in(tmp_path, kind="pair")
    with reviewing(tmp_path, "pair") as client:
        texts = [client.get(link).text for link in links(client)]
        assert len(texts) == 2
        forms = {
            "write" if "What write" in t or "what write" in t else "note": hidden(t) for t in texts
        }
        updates = {"write": '{"draft": "good draft"}', "note": '{"note": "good note"}'}
        both = threading.Barrier(2)

        def send(name: str) -> str:
            both.wait()
            return settled(client, post(client, forms[name], decision="edit", update=updates[name]))

        with ThreadPoolExecutor(2) as pool:
            said = [shown(text) for text in pool.map(send, ("write", "note"))]
        assert sum("Taken; the run is complete." in each for each in said) == 1
        assert links(client) == []
    with open_graph(f"{tmp_path / 'desk.py'}:pair") as opened:
        state = opened.call("get_state", {"configurable": {"thread_id": "1"}}).values
    assert state == {"draft": "good draft", "note": "good note", "sent": "good draft"}
    assert ledger(tmp_path) == ["wrote", "sent 'good draft'"]


def test_without_the_graph_it_says_how_to_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no form, and nothing can be posted; the command that is shown answers."""
    desk_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    with reviewing(tmp_path, None) as client:
        assert "--app FILE.py:NAME" in shown(client.get("/inbox").text)
        (link,) = links(client)
        text = client.get(link).text
        assert "<form" not in text.split("<main")[1].split("</main")[0]
        command = re.findall(r'<pre class="value" tabindex="0">([^<]*)</pre>', text)[-1]
        words = unescape(command).split()
        assert words[:2] == ["coordgate", "review"]
        assert words[4:6] == ["--app", "FILE.py:NAME"]
        csrf = client.app.state.site.csrf  # type: ignore[attr-defined]
        assert post(client, {"csrf": csrf, "question": "[]"}).status_code == 403
        assert main(["review", *words[2:4], "--app", "desk.py:desk", "--approve"]) == 0
        assert links(client) == []


def test_a_form_from_elsewhere_answers_nothing(tmp_path: Path) -> None:
    """Neither another site's page nor a form without our field reaches the graph."""
    desk_in(tmp_path)
    with reviewing(tmp_path) as client:
        form = {**form_of(client), "decision": "approve"}
        for origin, fields in (
            ("http://elsewhere.example", form),
            (ORIGIN, {**form, "csrf": "guessed"}),
        ):
            sent = client.post("/inbox/answer", data=fields, headers={"origin": origin})
            assert sent.status_code == 403
        broken = {**form, "question": "none"}
        sent = client.post("/inbox/answer", data=broken, headers={"origin": ORIGIN})
        assert sent.status_code == 400
        assert client.get("/inbox/answer").status_code == 405
        assert len(links(client)) == 1
    assert ledger(tmp_path) == ["wrote"]


def test_hostile_candidates_are_shown_and_ship_as_they_are(tmp_path: Path) -> None:
    """Markup, escapes of a terminal and what reorders a line are seen, and are what ships."""
    bad = "</textarea><script>alert(1)</script>\\x1b[2J\\u202e\\u200b\\r\\n"
    exact = bad.encode().decode("unicode_escape")
    desk_in(tmp_path, bad)
    with reviewing(tmp_path) as client:
        (link,) = links(client)
        text = client.get(link).text
        assert "<script>alert" not in text
        assert not set("\x1b\u202e\u200b") & set(text)
        assert "\\u001b[2J\\u202e\\u200b" in text
        area = re.findall(r"<textarea name=\"update\"[^>]*>(.*?)</textarea>", text, re.DOTALL)[0]
        assert json.loads(unescape(area)) == {"draft": exact}
        update = unescape(area)
        page = post(client, hidden(text), decision="edit", update=update, override="1")
        assert "complete" in shown(settled(client, page))
    assert ledger(tmp_path)[-1] == f"sent {exact!r}"


def test_a_huge_candidate_is_cut_in_the_page_and_whole_in_its_file(tmp_path: Path) -> None:
    """What is not shown is said, the file has it all, and an approval ships all of it."""
    desk_in(tmp_path, "bad" + "x" * 120_000)
    with reviewing(tmp_path) as client:
        (link,) = links(client)
        text = client.get(link).text
        assert len(text) < 130_000
        assert "more characters are not shown here" in shown(text)
        whole = client.get(link.replace("/question", "/candidate"))
        assert whole.headers["content-disposition"].startswith("attachment")
        assert json.loads(whole.text) == {"draft": "bad" + "x" * 120_000}
        assert "complete" in shown(settled(client, post(client, hidden(text), decision="approve")))
    assert len(ledger(tmp_path)[-1]) > 120_000


def test_what_the_graph_does_not_know_is_told_apart(tmp_path: Path) -> None:
    """Threads that another checkpointer holds are listed, with why they cannot be answered."""
    desk_in(tmp_path)
    with reviewing(tmp_path, "forgetful") as client:
        said = shown(client.get("/inbox").text)
        assert "Nothing waits for a person." in said
        assert "Recorded as waiting, and not known to" in said
        assert links(client) == []


def test_of_very_many_questions_the_latest_are_listed(tmp_path: Path) -> None:
    """The list stays short and says what it leaves out; the graph is asked of no more threads."""
    desk_in(tmp_path)
    with open_store(tmp_path / "traces.db", mode="write") as store:
        (run, *_) = store.runs()
        paused = replace(run, status="interrupted", process=identity())
        store.write(
            [
                replace(
                    paused,
                    id=RunId(f"n{place}"),
                    thread=ThreadId(f"t{place}"),
                    started=float(place),
                )
                for place in range(1000)
            ]
        )
    with reviewing(tmp_path) as client:
        said = shown(client.get("/inbox").text)
        assert "1 of about 802 questions that wait are shown" in said
        assert len(links(client)) == 1


def test_the_list_is_sent_again_only_when_it_has_changed(tmp_path: Path) -> None:
    """The page asks with what it has; what has the focus keeps it as long as nothing is new."""
    desk_in(tmp_path)
    with reviewing(tmp_path) as client:
        (address,) = re.findall(r'id="waiting" hx-get="([^"]*)"', client.get("/inbox").text)
        htmx = {"HX-Request": "true"}
        assert client.get(unescape(address), headers=htmx).status_code == 204
        settled(client, post(client, form_of(client), decision="approve"))
        answer = client.get(unescape(address), headers=htmx)
        assert answer.status_code == 200
        assert "<html" not in answer.text
