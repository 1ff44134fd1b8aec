"""Each canvas has a file of its own among the mirrored books."""

from __future__ import annotations

import json

from canvas_stage import ANNA, Stage

import aegis_records.plugin


async def test_a_canvas_is_mirrored_to_a_file_of_its_name(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins, records=aegis_records.plugin) as kernel:
        stage = Stage(kernel, echo)
        await stage.open()
        await stage.call("subscribe", name="plan")
        await stage.call("close", name="plan")
        await kernel.verbs.call(ANNA, "ledger export")
    lines = (project / ".aegis/state/canvases/plan/ledger.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert {"opened", "revised", "subscribed"} <= set(events) and events[-1] == "closed"
