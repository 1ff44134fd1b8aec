"""Which canvases an agent may open, read and write: none through which it does what its permission denies it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aegis import Caller, Kernel, PermissionRequest, Refused
from aegis.clock import new_id
from aegis_canvas.notifier import is_agents
from aegis_canvas.settings import CanvasSettings
from aegis_canvas.store import Canvas
from aegis_permission.acts import blind, mode_of, sees
from aegis_permission.governing import governs

_DOCUMENTS = (".md", ".markdown")  # and no .txt: builds obey those
_TOOL = "aegis_canvas_open"


class Access:
    """Refuses agents; people and what acts for them may use every canvas."""

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings = kernel, settings

    async def open(self, caller: Caller, file: str, real: Path) -> None:
        """Return once the caller may make this file a canvas, for everybody to write; raises `Refused`.

        It is an edit like any other, so the agent's mode answers, or a person; in the folders for canvases nobody is
        asked.
        """
        if not is_agents(caller):
            return
        self._check(caller, file, real)
        mode = mode_of(self._kernel, caller)
        if mode == "read":
            raise Refused(
                f"{caller} has the permission read: it may use canvases that a person or an agent with more permission "
                f"has opened, and open none itself. A person can: aegis canvas open NAME {file}"
            )
        if mode == "full" or self._in_folders(real):
            return
        agent = self._kernel.roster.get(caller.agent_id)
        if agent is None or agent.seat is None:
            raise Refused(f"{caller} acts for an agent that cannot be asked about {file}: it has no session")
        title = f"make {file} a canvas, which every agent may write"
        wish = PermissionRequest(new_id(), _TOOL, "edit", title, {"file": file}, (str(real),))
        decision = await agent.seat.ask(wish)
        if not decision.allowed:
            where = ", ".join(f"{folder}/" for folder in self._folders) or "none"
            raise Refused(
                f"{_TOOL} was {decision.outcome}: {decision.reason or 'no reason given'}. "
                f"Folders in which agents open canvases unasked: {where}"
            )

    @property
    def _folders(self) -> tuple[str, ...]:
        section: CanvasSettings = self._settings["plugins.canvas"]  # as it is now
        return section.folders

    def _in_folders(self, real: Path) -> bool:
        root = self._kernel.project.root.resolve()  # of a folder that is a link nobody said that it is for canvases
        return any(real != root / folder and real.is_relative_to(root / folder) for folder in self._folders)

    def _check(self, caller: Caller, file: str, real: Path) -> None:
        """Refuse an agent files that are not documents, or that give orders to agents, git or shells."""
        root = self._kernel.project.root
        steps = [*Path(file).parts, *(real.relative_to(root).parts if real.is_relative_to(root) else real.parts)]
        hidden = any(step.startswith(".") and step not in (".", "..") for step in steps)
        if hidden or not real.name.lower().endswith(_DOCUMENTS) or any(map(governs, steps)):
            raise Refused(
                f"{caller} may not open {file} as a canvas: agents may open {', '.join(_DOCUMENTS)} files that are not "
                f"hidden and that no agent takes instructions from. A person can: aegis canvas open NAME {file}"
            )

    async def read(self, caller: Caller, canvas: Canvas) -> Canvas:
        """Return the canvas if the caller may read it; raises `Refused`."""
        if not await self.seen(caller, canvas):
            raise Refused(blind(f"the canvas {canvas.name}, which {canvas.by} opened,"))
        return canvas

    async def seen(self, caller: Caller, canvas: Canvas) -> bool:
        """Return whether the caller may read the canvas."""
        return not caller.agent_id or await sees(self._kernel, caller, [canvas.by_id or canvas.by])

    async def write(self, caller: Caller, canvas: Canvas) -> Canvas:
        """Return the canvas if the caller may write it: in `read` only one that was opened by somebody who may edit."""
        await self.read(caller, canvas)
        if caller.agent_id and mode_of(self._kernel, caller) == "read" and self._readers(canvas):
            raise Refused(
                f"{caller} has the permission read, and so had who opened the canvas {canvas.name}: it may write "
                "canvases that a person or an agent with more permission has opened"
            )
        return canvas

    def _readers(self, canvas: Canvas) -> bool:
        """Return whether an agent opened it that may not edit."""
        opener = canvas.by_id or canvas.by
        asked = Caller("agent", canvas.by, opener) if canvas.by_id or opener.startswith("agent:") else None
        return asked is not None and mode_of(self._kernel, asked) == "read"
