"""Group keeps what every plugin and every primitive keeps."""

from itertools import count

from group_stage import ANNA

from aegis.testing.contracts import PluginContract, PrimitiveContract

NUMBERS = count()


class TestGroup(PluginContract, PrimitiveContract):
    plugin, beside = "group", ("inbox",)

    async def act(self, kernel):
        await kernel.verbs.call(ANNA, "group spawn-mixed", {"group": "audit", "profiles": ["echo", "echo"]})
        await kernel.verbs.call(ANNA, "group rename", {"old": "audit", "new": "review"})

    async def state(self, kernel):
        groups = await kernel.verbs.call(ANNA, "group list")
        return [(g.name, g.members) for g in groups]

    async def write(self, kernel, handle):
        group = f"audit-{next(NUMBERS)}"
        await kernel.verbs.call(ANNA, "group add", {"group": group, "handle": handle})
        await kernel.verbs.call(ANNA, "group broadcast", {"group": group, "objective": "look"})
