"""What aegis-records offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive, Service


@hookimpl
def aegis_hookspecs() -> object:
    """Publish the hook `aegis_mirrors`."""
    from aegis_records import hookspecs  # noqa: PLC0415 - entry modules stay light

    return hookspecs


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Mirror the ledger, from before the first primitive puts in order what the last kernel left."""
    from aegis import Registry  # noqa: PLC0415 - the same
    from aegis_records.jsonlines import Appender  # noqa: PLC0415
    from aegis_records.ledger_verbs import LedgerVerbs  # noqa: PLC0415
    from aegis_records.mirror import Mirror  # noqa: PLC0415

    mirrors: Registry[tuple[str, str]] = Registry("mirrored book")
    kernel.plugins.collect("aegis_mirrors", mirrors, lambda mirror: mirror[0])
    appender = Appender(kernel.project.state, kernel.bus.report)
    kernel.config.remarkers.add("fault in the mirror", appender.trouble)
    return [LedgerVerbs(Mirror(kernel, appender, mirrors))]


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own `plugins.records`."""
    from aegis_records.settings import RecordsSettings  # noqa: PLC0415 - the same

    return {"plugins.records": RecordsSettings}


@hookimpl
def aegis_frontends(kernel: Kernel, settings: Mapping[str, Any]) -> list[Service]:
    """Write down what happens, from before the first agent speaks until after the last, and tell those that forgot."""
    from aegis_records.jsonlines import Appender  # noqa: PLC0415 - the same
    from aegis_records.recall import Recall  # noqa: PLC0415
    from aegis_records.service import Transcripts  # noqa: PLC0415
    from aegis_records.transcript_verbs import TranscriptVerbs  # noqa: PLC0415

    def most() -> float:
        return float(settings["plugins.records"].max_transcript)

    appender = Appender(kernel.project.state, kernel.bus.report, most, every=0)  # the events have waited
    kernel.config.remarkers.add("fault in the transcripts", appender.trouble)
    transcripts = Transcripts(kernel, appender)
    kernel.interceptors.add(Recall(kernel, transcripts))
    return [TranscriptVerbs(transcripts)]
