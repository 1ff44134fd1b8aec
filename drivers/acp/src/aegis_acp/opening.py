"""How a session begins: the handshake, the former conversation or a new one, and the modes the profile wants."""

from __future__ import annotations

from typing import Any

from aegis import LaunchError, Refused, Seat, SessionGone, __version__
from aegis.errors import listed
from aegis.events import Notice, SessionStarted
from aegis_acp import v1
from aegis_acp.figures import KNOWN, Figures
from aegis_acp.profile import AcpProfile
from aegis_acp.session import AcpSession
from aegis_acp.session_record import SessionRecord
from aegis_acp.translate import reason_of
from aegis_jsonrpc.connection import NO_METHOD, RpcError
from aegis_jsonrpc.values import items, mapping, text

_SIGN_IN = -32000  # the protocol's code for an agent that wants an account first


class Opening:
    """Opens the seat's session: `mode` is the agent's own for the profile's permission, `picks` that it is told its
    model here and not by its command."""

    def __init__(
        self, seat: Seat, session: AcpSession, record: SessionRecord, figures: Figures, *, mode: str, picks: bool
    ) -> None:
        assert isinstance(seat.profile, AcpProfile)
        self._figures = figures
        self._seat, self._session, self._record, self._profile = seat, session, record, seat.profile
        self._mode, self._picks = mode, picks
        self._name, self._version = "the agent", ""
        self._notices: list[str] = []
        self._offer: dict[str, Any] = {}

    async def run(self, opened: float, notice: str = "") -> None:
        """Return once the session takes prompts; raises `LaunchError`, or `Refused` for what the agent cannot do."""
        hello = await self._ask("initialize", v1.initialize(__version__))
        if hello.get("protocolVersion") != v1.VERSION:
            said = hello.get("protocolVersion")
            raise Refused(f"this agent speaks version {said!r} of ACP; aegis speaks version {v1.VERSION}")
        info = mapping(hello.get("agentInfo"))
        self._name, self._version = (
            text(info.get("title")) or text(info.get("name")) or "the agent",
            text(info.get("version")),
        )
        capable = v1.capabilities(hello)
        where: dict[str, Any] = {"cwd": str(self._seat.cwd), "mcpServers": self._servers(capable)}
        where |= {"_meta": self._profile.meta} if self._profile.meta else {}
        session_id = await self._resumed(capable, where)
        resumed = bool(session_id)
        if not resumed:
            self._offer = await self._ask("session/new", where)
            session_id = text(self._offer.get("sessionId"))
        if not session_id:
            raise LaunchError(f"{self._name} opened a session without an id")
        self._session.session_id = session_id
        await self._adjust()
        self._record.begin(session_id, opened, resumed=resumed)
        figures = self._profile.figures(KNOWN.get(text(info.get("name")), self._figures))
        started = SessionStarted(session_id, self._model(), self._version, self._current_mode())
        self._session.opened(started, self._record, figures, resumed=resumed)
        notices = [*filter(None, [notice]), *self._notices]
        self._session.say([Notice(words, "warning", self._name) for words in notices])

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._session.request(method, params)
        except RpcError as error:
            why = reason_of(str(error), error.data)
            if error.code == _SIGN_IN:
                why = f"it wants you to sign in first ({why}); start it once by hand and do so"
            raise LaunchError(f"{self._name} refused {method!r}: {why}") from None

    def _servers(self, capable: v1.AgentCapabilities) -> list[dict[str, Any]]:
        if self._seat.servers and not (capable.mcp_capabilities and capable.mcp_capabilities.http):
            names = listed(server.name for server in self._seat.servers)
            self._notices.append(f"it takes no MCP servers over HTTP, so it cannot be given: {names}")
            return []
        return v1.servers(self._seat.servers)

    # ------------------------------------------------------------------------------------------------ the former one

    async def _resumed(self, capable: v1.AgentCapabilities, where: dict[str, Any]) -> str:
        former = self._seat.resume
        if not former or (self._record.session_id == former and not self._record.told):
            return ""  # nothing was ever said in it, and some agents keep no such session
        can = capable.session_capabilities
        ways = ["session/resume"] if can and can.resume else []
        ways += ["session/load"] if capable.load_session else []
        for way in ways:
            try:
                self._offer = await self._session.request(way, {"sessionId": former} | where)
                if way == "session/load" and not await self._session.replayed():
                    why = "it opened one of this name in which nothing was ever said"
                    raise SessionGone(f"{self._name} cannot go on with the session {former}: {why}")
                return former
            except RpcError as error:
                if error.code != NO_METHOD:  # one that it offers and does not have
                    why = reason_of(str(error), error.data)
                    raise SessionGone(f"{self._name} cannot go on with the session {former}: {why}") from None
        self._notices.append(f"it cannot go on with a former session ({former}); this is a new one")
        return ""

    # -------------------------------------------------------------------------------------------- mode, model, options

    async def _adjust(self) -> None:
        if self._mode and self._mode != self._current_mode():
            await self._set_mode()
        if self._picks and self._profile.model:
            await self._set_model(self._profile.model)
        for name, value in self._profile.options.items():
            self._must_offer("option", name, [text(option.get("id")) for option in self._options()])
            await self._set(name, value)

    async def _set_mode(self) -> None:
        modes = [text(mapping(mode).get("id")) for mode in items(self._modes().get("availableModes"))]
        what = f"mode, which the permission {self._profile.permission!r} needs,"
        if option := self._option("mode"):
            self._must_offer(what, self._mode, _values(option))
            return await self._set(text(option.get("id")), self._mode)
        self._must_offer(what, self._mode, modes)
        await self._ask("session/set_mode", {"sessionId": self._session.session_id, "modeId": self._mode})
        self._modes()["currentModeId"] = self._mode

    async def _set_model(self, model: str) -> None:
        if option := self._option("model"):
            await self._set(text(option.get("id")), model)
        elif "models" in self._offer:
            await self._ask("session/set_model", {"sessionId": self._session.session_id, "modelId": model})
            mapping(self._offer["models"])["currentModelId"] = model
        else:
            raise Refused(f"{self._name} lets nobody choose its model; take `model: {model}` out of the profile")

    async def _set(self, option: str, value: str) -> None:
        asked = {"sessionId": self._session.session_id, "configId": option, "value": value}
        answer = await self._ask("session/set_config_option", asked)
        if "configOptions" in answer:
            self._offer["configOptions"] = answer["configOptions"]

    def _must_offer(self, what: str, wanted: str, offered: list[str]) -> None:
        if wanted not in offered:
            raise Refused(f"{self._name} has no {what} {wanted!r} (it has: {listed(offered)})")

    def _modes(self) -> dict[str, Any]:
        return mapping(self._offer.get("modes"))

    def _options(self) -> list[dict[str, Any]]:
        return [mapping(option) for option in items(self._offer.get("configOptions"))]

    def _option(self, category: str) -> dict[str, Any]:
        return next((option for option in self._options() if option.get("category") == category), {})

    def _current_mode(self) -> str:
        return text(self._option("mode").get("currentValue")) or text(self._modes().get("currentModeId"))

    def _model(self) -> str:
        offered = text(mapping(self._offer.get("models")).get("currentModelId"))
        return text(self._option("model").get("currentValue")) or offered or self._profile.model or ""


def _values(option: dict[str, Any]) -> list[str]:
    choices = [mapping(choice) for choice in items(option.get("options"))]
    grouped = [mapping(inner) for choice in choices for inner in items(choice.get("options"))]
    return [text(choice.get("value")) for choice in [*choices, *grouped] if choice.get("value")]
