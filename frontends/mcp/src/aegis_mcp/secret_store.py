"""Who an agent is, as a random secret that its CLI carries; aegis keeps only what the secret can be compared with.

Book `secrets` (key: agent id): `minted` (the SHA-256 of the secret) → `closed`. A CLI gets a new secret each time it is
opened; until then the one of before goes on counting, also over a restart.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from hashlib import sha256
from typing import Any

from aegis.ledger import Ledger, Record

_BYTES, _FORMER = 32, 1_000  # bytes of a secret; closed agents whose secrets are still told from nobody's


class Secrets:
    """One secret per agent, of which the ledger has the hash and nothing on disk has more."""

    def __init__(self, ledger: Ledger) -> None:
        """Know those of the ledger."""
        self._book = book = ledger.book("secrets")
        self._hashes: dict[str, str] = {}
        self._former: OrderedDict[str, str] = OrderedDict()
        book.fold(self._begin, self._apply, lambda: self._hashes, ends=("closed",))

    async def mint(self, agent_id: str) -> str:
        """Return a new secret of the agent, which counts now; the one of before opens nothing any more.

        Nobody waits for the disk: a crash that forgets the secret ends the CLI that has it, and the next gets another.
        """
        secret = f"{agent_id}.{secrets.token_urlsafe(_BYTES)}"
        self._hashes[agent_id] = _hash(secret)
        self._book.ride("minted", agent_id, hash=self._hashes[agent_id])
        return secret

    async def close(self, agent_id: str) -> None:
        """Forget the secret of an agent that is closed."""
        if agent_id in self._hashes:
            self._book.ride("closed", agent_id)

    def owner(self, secret: str) -> str | None:
        """Return the id of the agent, living or closed, whose secret this is; None when it is nobody's."""
        agent_id = secret.partition(".")[0]
        known = self._hashes.get(agent_id) or self._former.get(agent_id, "")
        return agent_id if known and hmac.compare_digest(known, _hash(secret)) else None

    def _begin(self, snapshot: Any) -> None:
        self._hashes = dict(snapshot or {})

    def _apply(self, record: Record) -> None:
        if record.kind == "minted":
            self._hashes[record.key] = record.data["hash"]
        elif known := self._hashes.pop(record.key, ""):
            self._former[record.key] = known
            if len(self._former) > _FORMER:
                self._former.popitem(last=False)


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()
