"""Who may ask the viewer, and what a page or a form may do."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Reader
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from stories import write_store

from coordgate.errors import StoreError
from coordgate.stores import open_store
from coordgate.viewer import viewer
from coordgate.viewer.security import MOST_POSTED, POLICY, Security

TOKEN = "correct-horse"  # noqa: S105 - of these tests


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:8765", 200),
        ("[::1]:8765", 200),
        ("127.0.0.9", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8765", 421),
        ("192.168.1.7", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_names_of_this_machine_are_answered_to(
    reader: Reader, traces: Path, host: str, status: int
) -> None:
    """A name that could be pointed at this machine by others gets nothing (DNS rebinding)."""
    answer = reader(traces).get("/", headers={"Host": host})
    assert answer.status_code == status
    assert ("herons" in answer.text) == (status == 200)


def test_a_token_is_wanted_once_and_then_kept_in_a_cookie(reader: Reader, traces: Path) -> None:
    """The address with the token sets a cookie that scripts and other sites do not get."""
    client = reader(traces, token=TOKEN)
    for path in ("/", "/static/viewer.css", "/?token=wrong", "/?token="):
        assert client.get(path).status_code == 401
    entered = client.get(f"/?status=failed&token={TOKEN}", follow_redirects=False)
    assert entered.status_code == 303
    assert entered.headers["location"] == "/?status=failed"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/", headers={"Host": "my-server:8765"}).status_code == 200


def test_a_cookie_of_another_token_does_not_open(reader: Reader, traces: Path) -> None:
    """A viewer started with a new token does not know the cookies of the earlier one."""
    earlier = reader(traces, token=TOKEN * 2)
    earlier.get(f"/?token={TOKEN * 2}")
    client = reader(traces, token=TOKEN)
    client.cookies.update(earlier.cookies)
    assert client.get("/").status_code == 401


def test_the_redirect_leads_to_no_other_host(reader: Reader, traces: Path) -> None:
    """A path that looks like another host does not become one when the token is taken off."""
    client = reader(traces, token=TOKEN)
    for path in ("//evil.example/", "/\\evil.example/"):
        answer = client.get(f"http://127.0.0.1:8765{path}?token={TOKEN}", follow_redirects=False)
        assert not answer.headers["location"].startswith(("//", "/\\", "http"))


@pytest.fixture
def posting() -> TestClient:
    """Return a client of a page that takes a form, behind the viewer's own guard."""

    async def take(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str((await request.form()).get("said")))

    guarded = Middleware(Security, token=None, csrf="secret")
    app = Starlette(routes=[Route("/", take, methods=["POST", "PUT"])], middleware=[guarded])
    return TestClient(app, base_url="http://127.0.0.1:8765")


OURS = {"Origin": "http://127.0.0.1:8765", "Sec-Fetch-Site": "same-origin"}


def test_a_form_of_ours_is_taken(posting: TestClient) -> None:
    """A form with the secret of its page, sent from that page, arrives whole."""
    answer = posting.post("/", data={"csrf": "secret", "said": "yes"}, headers=OURS)
    assert (answer.status_code, answer.text) == (200, "yes")


@pytest.mark.parametrize(
    ("given", "headers", "status"),
    [
        ({"said": "yes"}, OURS, 403),
        ({"csrf": "guess"}, OURS, 403),
        ({"csrf": "secret"}, {}, 403),
        ({"csrf": "secret"}, {"Origin": "http://evil.example"}, 403),
        ({"csrf": "secret"}, {"Origin": "null"}, 403),
        ({"csrf": "secret"}, {**OURS, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"csrf": "secret"}, {**OURS, "Sec-Fetch-Site": "same-site"}, 403),
        ({"csrf": "secret"}, {**OURS, "Content-Type": "text/plain"}, 415),
        ({"csrf": "secret", "said": "x" * MOST_POSTED}, OURS, 413),
    ],
)
def test_a_form_from_elsewhere_is_refused(
    posting: TestClient, given: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """Without the secret, from another page, of another kind or too large: nothing is done."""
    assert posting.post("/", data=given, headers=headers).status_code == status


def test_nothing_but_reading_and_forms_is_known(posting: TestClient) -> None:
    """Methods that pages do not use are refused before any page sees them."""
    assert posting.put("/", data={"csrf": "secret"}, headers=OURS).status_code == 405


def test_a_page_that_fails_tells_nothing(traces: Path) -> None:
    """An error that nobody foresaw is a bare page with the strict headers, and goes to the log."""
    app = viewer(traces)
    app.state.site = replace(app.state.site, patience="soon")
    client = TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "soon" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    with pytest.raises(TypeError):
        TestClient(app, base_url="http://127.0.0.1:8765").get("/")


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/"]
)
def test_no_file_but_the_static_ones_is_served(reader: Reader, traces: Path, path: str) -> None:
    """A path that leads out of the static files finds nothing."""
    assert reader(traces).get(path).status_code == 404


def test_looking_changes_nothing(reader: Reader, traces: Path) -> None:
    """After every page of the list was looked at, the file is byte for byte what it was."""
    before = hashlib.sha256(traces.read_bytes()).hexdigest()
    client = reader(traces)
    for query in ("", "?text=storks", "?verdict=rejected&gate=cites&node=draft"):
        assert client.get(f"/{query}").status_code == 200
    assert hashlib.sha256(traces.read_bytes()).hexdigest() == before


def test_a_file_that_may_not_be_written_is_shown(
    reader: Reader, traces: Path, tmp_path: Path
) -> None:
    """A store in a folder where nothing may be written is shown all the same."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    sealed = shutil.copy(traces, folder / "traces.db")
    sealed.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert "herons" in reader(sealed).get("/").text
    finally:
        folder.chmod(0o700)


def test_a_store_that_is_being_written_shows_what_came(reader: Reader, tmp_path: Path) -> None:
    """A run that is written while the viewer is open is there at the next look."""
    path = write_store(tmp_path / "live.db", "herons")
    with open_store(path, mode="write"):
        client = reader(path)
        assert "storks" not in client.get("/").text
        write_store(path, "storks")
        assert "storks" in client.get("/").text


def test_what_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    """A missing file is an error of the call, not of the first page."""
    with pytest.raises(StoreError, match="no such file"):
        viewer(tmp_path / "missing.db")
