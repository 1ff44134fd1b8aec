"""What is wrong in the section `queues`: a mistake stops the start, the absence of another plugin is a remark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aegis import ConfigError, Kernel, NotFound
from aegis.errors import nearest
from aegis.project import FILE
from aegis_queue.settings import QueueSettings


def check(kernel: Kernel, queues: Mapping[str, QueueSettings]) -> None:
    """Raise `ConfigError` when a queue has a profile that is nearly the name of another one."""
    config = kernel.config
    for name, settings in queues.items():
        if settings.agent in config.unusable or not nearest(settings.agent, config.names()):
            continue
        try:
            config.profile(settings.agent)
        except NotFound as error:
            raise ConfigError(f"{kernel.project.root / FILE}: queues.{name}.agent: {error}") from None


def remarks(kernel: Kernel, queues: Callable[[], Mapping[str, QueueSettings]]) -> Iterator[str]:
    """Yield a sentence for each queue whose tasks cannot begin here."""
    for name, settings in queues().items():
        where = f"{kernel.project.root / FILE}: queues.{name}"
        if why := unusable(kernel, settings):
            yield f"{where}.agent: {why} Its tasks wait."
        elif settings.budgets and not kernel.interceptors.at("admit"):
            yield f"{where}.budgets: nothing here can hold them (aegis-budget would). Its tasks wait."


def unusable(kernel: Kernel, settings: QueueSettings) -> str:
    """Return why the profile of a queue cannot be used, empty when it can."""
    try:
        kernel.config.profile(settings.agent)
    except NotFound as error:
        return str(error)
    return ""
