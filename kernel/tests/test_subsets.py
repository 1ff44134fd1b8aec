"""Any subset of the installed plugins boots: none, each alone, and fifty at random (the seed is printed)."""

from __future__ import annotations

import os
import random
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aegis.app import open_kernel
from aegis.plugins import GROUP

POINTS = {point.name: point for point in entry_points(group=GROUP)}
NAMES = sorted(POINTS)
SEED = int(os.environ.get("AEGIS_SUBSETS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


async def boots(names: list[str], environment: dict[str, str]) -> None:
    """Start with exactly these, see that nothing is missing or broken, and leave."""
    with TemporaryDirectory() as root:
        plugins = {name: POINTS[name].load() for name in names}
        async with open_kernel(Path(root), plugins=plugins, environment=environment) as kernel:
            said = {row.name: row.error for row in kernel.plugins.report() if row.error}
            assert not said, f"{names}: {said}"
            assert not kernel.faults, f"{names}: {list(kernel.faults)}"
            assert {v.plugin for v in kernel.verbs} <= set(names)
            kernel.snapshot()
            for found in kernel.verbs:
                assert found.describe()["name"] == found.name


async def test_the_kernel_alone_boots(environment: dict[str, str]) -> None:
    await boots([], environment)


@pytest.mark.parametrize("name", NAMES)
async def test_each_plugin_alone_boots(name: str, environment: dict[str, str]) -> None:
    await boots([name], environment)


async def test_all_plugins_together_boot(environment: dict[str, str]) -> None:
    await boots(NAMES, environment)


@pytest.mark.timeout(180)
async def test_fifty_random_subsets_boot(environment: dict[str, str]) -> None:
    print(f"AEGIS_SUBSETS_SEED={SEED}")
    dice = random.Random(SEED)
    for _ in range(50):
        await boots([name for name in NAMES if dice.random() < 0.5], environment)
