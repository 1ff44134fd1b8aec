"""What has begun and is not over: one task for each, which ends in exactly one record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from aegis import AegisError, Caller, Kernel, Refused
from aegis.events import Notice
from aegis.supervise import root_cause
from aegis_processes.shell import shell
from aegis_schedule.act import cancel, named, perform
from aegis_schedule.settings import Entry
from aegis_schedule.store import Fire, Store

_CHECK = 60.0  # seconds that the command of `when` may take


class _Nothing(Exception):
    """There is nothing to do this time; the text says why."""


class Firings:
    """Begins what is due and sees it end."""

    def __init__(self, kernel: Kernel, store: Store, ended: Callable[[str], None]) -> None:
        """`ended` is told the name of each schedule of which something is over."""
        self._kernel, self._store, self._ended = kernel, store, ended
        self._scopes: dict[str, trio.CancelScope] = {}
        self._over: dict[str, trio.Event] = {}
        self._why: dict[str, str] = {}
        self.nursery: trio.Nursery | None = None

    def begin(self, name: str, entry: Entry, fire: Fire) -> None:
        """Do what the entry says, in a task; that it was requested is on disk already."""
        assert self.nursery
        self._over[fire.fire] = trio.Event()
        self.nursery.start_soon(self._play, name, entry, fire)

    async def stop(self, fires: list[str], why: str) -> None:
        """End these, with what they spawned, and return when they are over."""
        for fire in fires:
            if scope := self._scopes.get(fire):
                self._why[fire] = why
                scope.cancel()
        for over in [self._over[fire] for fire in fires if fire in self._over]:
            await over.wait()

    async def end_of(self, fire: str) -> None:
        """Return when this one is over."""
        if (over := self._over.get(fire)) is not None:
            await over.wait()

    async def _play(self, name: str, entry: Entry, fire: Fire) -> None:
        started, caller = trio.current_time(), self.caller(name, fire)
        status, said = "", ""
        try:
            with trio.CancelScope() as scope, trio.fail_after(entry.timeout or float("inf")):
                self._scopes[fire.fire] = scope
                await self._check(entry, caller)
                said = await perform(self._kernel, entry, caller, partial(self._began, name, fire))
            status = "failed:killed" if scope.cancelled_caught else "ok"
            said = self._why.get(fire.fire, "") if scope.cancelled_caught else said
        except trio.TooSlowError:
            status, said = "failed:timeout", f"took longer than {entry.timeout:g} s, and was ended"
        except _Nothing as nothing:
            status, said = "skipped", str(nothing)
        except Refused as refusal:
            status, said = "failed:refused", str(refusal)
        except AegisError as error:
            status, said = "failed:workflow" if entry.workflow else "failed", str(error)
        except (Exception, BaseExceptionGroup) as error:  # a verb of anybody's plugin: its crash is the end of this one
            cause = root_cause(error)
            if not isinstance(cause, Exception):
                raise
            status, said = "failed:crash", repr(cause)
        finally:
            self._scopes.pop(fire.fire, None)
        await self._finish(name, entry, fire, status, said, trio.current_time() - started)

    async def _began(self, name: str, fire: Fire, run: str) -> None:
        await self._store.append("began", name, fire=fire.fire, run=run)

    async def _check(self, entry: Entry, caller: Caller) -> None:
        """Raise when the command of `when` says that there is nothing to do."""
        if not entry.when:
            return
        kernel = self._kernel
        if caller.agent_id:
            raise Refused(f"`when` runs a command, and {caller.principal} wrote this schedule: a person must write it")
        kernel.trust.require(entry.when)
        done = await shell(entry.when, kernel.project.root, _CHECK, dict(kernel.environment), Refused)
        if done.exit:
            raise _Nothing(f"`{entry.when}` exited with {done.exit}")

    async def _finish(self, name: str, entry: Entry, fire: Fire, status: str, said: str, seconds: float) -> None:
        state = self._store.state(name)
        if status != "ok" and (known := state.running.get(fire.fire)) and known.run:
            await cancel(self._kernel, self.caller(name, fire), known.run)
        data = {"fire": fire.fire, "due": fire.due, "duration_s": round(seconds, 3)}
        if status == "skipped":
            await self._store.append("skipped", name, **data, reason=said)
        elif status == "ok":
            await self._store.append("fire_completed", name, **data, status=status, result_excerpt=said)
        else:
            await self._store.append("fire_failed", name, **data, status=status, error=said)
        self._why.pop(fire.fire, None)
        if (over := self._over.pop(fire.fire, None)) is not None:
            over.set()
        await self.tell(name, entry, status, said)
        self._ended(name)

    async def tell(self, name: str, entry: Entry, status: str, said: str) -> None:
        """Write to the person how one ended, if they want to know."""
        wanted = entry.notify.on_success if status == "ok" else entry.notify.on_failure and status != "skipped"
        text = f"schedule {name} ({named(entry)}): {status}" + (f"\n{said}" if said else "")
        if status.startswith("failed"):
            self._kernel.bus.publish("", Notice(text, "warning", "schedule"))
        if wanted:
            post = self._kernel.post
            try:
                await post.deliver(post.envelope(f"schedule:{name}", self.person(name), text), short=text[:200])
            except AegisError as error:  # it is on record, and shown; more cannot be done
                lost = f"{text}\nnobody could be written to: {error}"
                self._kernel.bus.publish("", Notice(lost, "error", "schedule"))

    def caller(self, name: str, fire: Fire) -> Caller:
        """Return who acts: whoever asked for it by hand, else the author of the entry."""
        whose = fire.by or self._store.state(name).author or Caller("human", self.user)
        return whose.through("schedule", name)

    def person(self, name: str) -> str:
        """Return the person who hears of a schedule."""
        author = self._store.state(name).author
        principal = author.principal if author else ""
        return principal if principal.startswith("human:") else f"human:{self.user}"

    @property
    def user(self) -> str:
        """The person whose kernel this is."""
        import getpass  # noqa: PLC0415 - asked when something is written to a person only

        return getpass.getuser()
