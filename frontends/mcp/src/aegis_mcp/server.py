"""The MCP server: FastMCP, with a list, calls and instructions that depend on who asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool
from fastmcp.tools.base import ToolResult

from aegis import AegisError, NotFound, Refused, __version__
from aegis_mcp import sdk
from aegis_mcp.auth import REQUEST
from aegis_mcp.calls import Call
from aegis_mcp.tools import Outcome, Tools, text_of

if TYPE_CHECKING:
    from aegis.agent import Agent
    from aegis_mcp.calls import AgentRequest, Calls
    from aegis_mcp.service import Plane
    from aegis_mcp.sessions import Sessions

TICKET = (
    "{tool} takes longer than a call may. It goes on as ticket {ticket}; its result comes to you as a message with "
    "task#{ticket}. Do not call again and do not wait: go on with other work or end your turn."
)
_PAUSE = 0.05  # seconds between the news that tools changed and the answer: CLIs fetch the list before they read on


class PlaneServer(FastMCP):
    """Every verb as a tool, to every agent as it may use it."""

    def __init__(self, plane: Plane, calls: Calls, tools: Tools, sessions: Sessions) -> None:
        super().__init__(
            "aegis", version=__version__, middleware=[InstructionsMiddleware(self)], dereference_schemas=False
        )
        self._plane, self._kernel, self._tickets = plane, plane.kernel, plane.tickets
        self._calls, self._tools, self._sessions = calls, tools, sessions
        self._told, self._telling = 0, trio.Lock()
        sessions.serve(self)
        # Without an answer of our own the SDK makes the whole list of tools for each modern call, to look for
        # parameters that travel in HTTP headers; verbs have none.
        sdk.lowlevel(self).get_tool_input_schema = lambda _tool: None

    # -- who asks -----------------------------------------------------------------------------------------------

    def agent(self, request: AgentRequest) -> Agent:
        """Return the agent whose request this is; raises `NotFound` when it was closed meanwhile."""
        agent = self._kernel.roster.get(request.agent_id)
        if agent is None:
            raise NotFound("you have been closed")
        return agent

    def instructions_for(self, context: MiddlewareContext[Any]) -> str:
        """Remember the session, if there is one, and return what the agent is told."""
        agent = self.agent(current_request())
        if context.fastmcp_context:
            self._sessions.opened(agent.id, sdk.connection(context.fastmcp_context.session))
        told = self._plane.primers.of(self._kernel.roster.caller(agent))
        return f"{told}\n\n{agent.profile.prompt}".rstrip()  # CLIs keep this whatever becomes of the conversation

    def _verify(self, agent: Agent, claimed: Any) -> None:
        """Raise `Refused` unless the handle that a client says it has, against all advice, is its own."""
        if claimed:
            try:
                true = isinstance(claimed, str) and self._kernel.roster.find(claimed) is agent
            except NotFound:
                true = False
            if not true:
                raise Refused(f"from_handle {claimed!r} is not you: you are {agent.handle!r}; leave it out")

    # -- lists and calls ----------------------------------------------------------------------------------------

    async def list_tools(self, *, run_middleware: bool = True) -> Sequence[Tool]:
        """Return the tools of the agent that asks."""
        return self._tools.of(self._kernel.roster.caller(self.agent(current_request())))

    def list_key(self, request: AgentRequest) -> tuple[int, Any]:
        """Return what decides which tools the agent is shown."""
        caller = self._kernel.roster.caller(self.agent(request))
        return self._tools.generation, (caller.class_, caller.verbs)

    async def call_tool(
        self, name: str, arguments: dict[str, Any] | None = None, *, version: Any = None, run_middleware: bool = True
    ) -> ToolResult:
        """Return what the verb returns; what it refuses is an error the agent can read."""
        request = current_request()
        try:
            return (await self._outcome(request.begun or self.begin(request, name, dict(arguments or {})))).result()
        except AegisError as error:
            return Outcome.of_error(error).result()

    def begin(self, request: AgentRequest, tool: str, args: dict[str, Any]) -> Call:
        """Begin the call that the agent asks for; raises `AegisError` when it can ask for none such."""
        agent = self.agent(request)
        caller = self._kernel.roster.caller(agent)
        verb = self._tools.verb_of(caller, tool)
        self._verify(agent, args.pop("from_handle", None))
        call = Call(request.agent_id, verb, tool, caller, self._tools.generation, request)
        return self._calls.start(call, partial(self._kernel.verbs.call, caller, verb, args))

    async def _outcome(self, call: Call) -> Outcome:
        try:
            await self._wait(call)
            if not call.over.is_set():
                call.ticket = await self._tickets.open(call.caller, call.verb)
                self._calls.follow(call, partial(self._deliver, call))
        finally:
            call.abandon()
        await self.settle(call)
        if call.ticket:
            ticket = {"ticket": call.ticket, "state": "running"}
            return Outcome.of(ticket, TICKET.format(tool=call.tool, ticket=call.ticket))
        return Outcome.of(call.result())

    async def settle(self, call: Call) -> None:
        """Return once the clients have fetched the tools anew, if the call changed them."""
        if self._tools.generation != call.tools:
            await self.announce()
            await trio.sleep(_PAUSE)

    async def _wait(self, call: Call) -> None:
        """Wait for the end of the call, telling the client at intervals that it goes on, as long as a call may take."""
        settings, told = self._plane.settings, call.began
        with trio.CancelScope(deadline=call.began + settings.ticket_after):
            while not call.over.is_set():
                told += settings.progress_every
                with trio.move_on_at(told):
                    await call.over.wait()
                    return
                async with Context(fastmcp=self) as context:
                    seconds = round(trio.current_time() - call.began, 3)
                    await context.report_progress(seconds, message=call.said or f"{call.verb} goes on")

    async def _deliver(self, call: Call) -> None:
        """Send the result of a call that nobody waits for."""
        try:
            body, status = text_of(call.result()), "ok"
        except AegisError as error:
            body, status = str(error), "error"
        await self._tickets.close(call.ticket, call.caller, f"{call.tool}: {body}", status)

    async def announce(self) -> None:
        """Tell the clients that the tools changed, unless they know."""
        async with self._telling:
            if self._told != self._tools.generation:
                self._told = self._tools.generation
                await self._sessions.announce()


def current_request() -> AgentRequest:
    """Return the request that is being served."""
    request: AgentRequest = get_http_request().scope[REQUEST]
    return request


class InstructionsMiddleware(Middleware):
    """Puts each agent's own instructions into the handshake of either protocol version."""

    def __init__(self, server: PlaneServer) -> None:
        self._server = server

    async def on_initialize(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        """Answer a legacy client."""
        result = await call_next(context)
        return result and result.model_copy(update={"instructions": self._server.instructions_for(context)})

    async def on_discover(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        """Answer a modern client."""
        result = await call_next(context)
        return result.model_copy(update={"instructions": self._server.instructions_for(context)})
