"""The desk: a graph that several pages call at once, and the answers that go to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

from pydantic_core import to_jsonable_python

from coordgate.errors import ConfigurationError
from coordgate.loading import OpenGraph
from coordgate.review import Answered, Waiting, answer, waiting_in

_KEPT: Final = 500
"""How many answers are remembered."""

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")

_Job: TypeAlias = tuple[Callable[[], Coroutine[Any, Any, Any]], "Future[Any]"]


class SharedGraph:
    """A graph that may be called from several threads at once, in the manner of an `OpenGraph`.

    A graph that can only be awaited runs in its one event loop, whose thread ends whenever
    nothing is left to do.
    """

    def __init__(self, opened: OpenGraph) -> None:
        """Share a graph; whoever opened it closes it."""
        self._opened = opened
        self._lock = threading.Lock()
        self._new: list[_Job] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def target(self) -> str:
        """What names it."""
        return self._opened.target

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the graph, such as `invoke` or `get_state`, or its async twin."""
        if not self._opened.is_async:
            return self._opened.call(method, *args, **kwargs)
        future: Future[Any] = Future()
        made = getattr(self._opened.graph, f"a{method}")
        with self._lock:
            if self._closing:
                raise ConfigurationError(f"{self.target}: the viewer is being closed")
            self._new.append((lambda: made(*args, **kwargs), future))
            if self._loop is not None and self._came is not None:
                self._loop.call_soon_threadsafe(self._came.set)
            elif self._thread is None:
                self._begin(None)
        return future.result()

    def close(self) -> None:
        """Take no more calls, and wait for those under way: the graph can then be closed."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self, before: threading.Thread | None) -> None:
        self._thread = threading.Thread(target=self._drive, args=(before,), daemon=True)
        self._thread.start()

    def _drive(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # the loop is its own until then
        self._opened.wait(self._serve())
        with self._lock:
            self._thread = None
            if self._new:  # they came when the loop was about to end
                self._begin(threading.current_thread())

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        came = asyncio.Event()
        with self._lock:
            self._loop, self._came = asyncio.get_running_loop(), came
        while True:
            came.clear()
            with self._lock:
                new, self._new = self._new, []
                if not new and not tasks:
                    self._loop = self._came = None
                    return
            tasks |= {asyncio.create_task(_do(job)) for job in new}
            waiter = asyncio.create_task(came.wait())
            done, _ = await asyncio.wait({*tasks, waiter}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            tasks -= done


async def _do(job: _Job) -> None:
    made, future = job
    try:
        future.set_result(await made())
    except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
        future.set_exception(error)


def print_of(asked: Waiting) -> str:
    """Return what tells a question from what it was or will be: a hash of all that is shown."""
    plain = to_jsonable_python(
        asdict(asked), fallback=repr, inf_nan_mode="strings", bytes_mode="base64"
    )
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(_ADDRESS.sub("", text).encode()).hexdigest()[:32]


Key: TypeAlias = tuple[str, str, str]
"""A question as it was shown: its thread, its id, and its print."""


@dataclass(slots=True)
class Going:
    """An answer that was given here, and what comes of it."""

    number: int
    """Its place among the answers, from 1."""
    asked: Waiting
    """The question."""
    given: Mapping[str, Any]
    """The answer."""
    sent: Any = None
    """The form as it was sent, to be shown again if the answer is refused."""
    began: float = field(default_factory=time.time)
    """When it was given, in seconds since the epoch."""
    came: Answered | None = None
    """What came of it."""
    changed: bool = False
    """Whether the question had been answered or changed before the run could go on: it was not
    answered."""
    error: str | None = None
    """Why it is not known what came of it."""
    next: list[Waiting] = field(default_factory=list[Waiting])
    """What its thread asks now."""
    ended: float | None = None
    """When it came, in seconds since the epoch."""
    done: threading.Event = field(default_factory=threading.Event)
    """Set when the run has come to its end or its next question."""


class Desk:
    """Takes answers to a graph's questions, each once, and goes on with their runs."""

    def __init__(self, opened: OpenGraph) -> None:
        """Take answers for this graph; whoever opened it closes it."""
        self.graph = SharedGraph(opened)
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Lock] = {}
        self._going: OrderedDict[Key, Going] = OrderedDict()
        self._made = 0
        self._runs: set[threading.Thread] = set()

    @property
    def busy(self) -> int:
        """How many runs go on now."""
        return sum(thread.is_alive() for thread in list(self._runs))

    def close(self) -> None:
        """Wait for the runs that go on, and take no more answers."""
        for thread in list(self._runs):
            thread.join()
        self.graph.close()

    def waiting(self, threads: Iterable[str]) -> list[Waiting]:
        """Return what waits for a person in these threads, but for what was answered here."""
        found = list(waiting_in(self.graph, threads))
        with self._lock:
            return [each for each in found if self._known(key_of(each)) is None]

    def question(self, thread: str, id: str, task: str | None = None) -> Waiting | None:
        """Return a question as it is now; without it what its task asks, if that is given."""
        found = list(waiting_in(self.graph, [thread]))
        for each in found:
            if each.id == id:
                return each
        return next((each for each in found if each.task == task), None)

    def never_saw(self, thread: str) -> bool:
        """Return whether the graph's checkpointer holds nothing of a thread."""
        state = self.graph.call("get_state", {"configurable": {"thread_id": thread}})
        return state.created_at is None

    def answered(self, key: Key) -> Going | None:
        """Return the answer that was given to a question as it was shown, if one was."""
        with self._lock:
            return self._known(key)

    def _known(self, key: Key) -> Going | None:
        known = self._going.get(key)
        # What could not be tried leaves the question open.
        return None if known is not None and known.error is not None else known

    def numbered(self, number: str) -> Going | None:
        """Return the answer of that number, as an address has it."""
        with self._lock:
            going = self._going.values()
            return next((each for each in going if str(each.number) == number), None)

    def answer(
        self, asked: Waiting, given: Mapping[str, Any], sent: Any = None
    ) -> tuple[Going, bool]:
        """Answer a question that was shown so; return the answer that it has, and if it is this.

        The run goes on in a thread of its own.
        """
        key = key_of(asked)
        with self._lock:
            known = self._known(key)
            if known is not None:
                return known, False
            self._made += 1
            going = self._going[key] = Going(self._made, asked, given, sent)
            self._going.move_to_end(key)
            while len(self._going) > _KEPT:
                self._going.popitem(last=False)
            turn = self._threads.setdefault(asked.thread, threading.Lock())
            thread = threading.Thread(target=self._go_on, args=(going, turn), daemon=True)
            self._runs = {each for each in self._runs if each.is_alive()} | {thread}
            thread.start()
        return going, True

    def _go_on(self, going: Going, turn: threading.Lock) -> None:
        asked = going.asked
        try:
            with turn:  # two runs of one thread at once would tread on each other's checkpoints
                now = self.question(asked.thread, asked.id)
                if now is None or print_of(now) != print_of(asked):
                    going.changed = True
                else:
                    going.came = answer(self.graph, asked, going.given)
                going.next = list(waiting_in(self.graph, [asked.thread]))
        except Exception as error:  # noqa: BLE001 - the page that waits must be told
            going.error = f"{type(error).__name__}: {error}"
        finally:
            going.ended = time.time()
            going.done.set()


def key_of(asked: Waiting) -> Key:
    """Return what a question is known by."""
    return asked.thread, asked.id, print_of(asked)
