"""Each group has a file of its own among the mirrored books."""

from __future__ import annotations

import json

from group_stage import Stage

import aegis_records.plugin


async def test_a_group_is_mirrored_to_a_file_of_its_name(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins, records=aegis_records.plugin) as kernel:
        stage = Stage(kernel, echo)
        await stage.gather("sec", "api")
        await stage.call("group wait-all", group="audit", broadcast_id=await stage.ask())
        await stage.call("group rename", old="audit", new="review")
        await stage.call("group dissolve", group="review")
        await stage.call("ledger export")
    kinds = {
        file.stem: [json.loads(line)["event"] for line in file.read_text().splitlines()]
        for file in (project / ".aegis/state/groups").iterdir()
    }
    assert set(kinds) == {"audit", "review"}
    assert kinds["audit"][:4] == ["created", "member_added", "member_added", "broadcast_started"]
    assert kinds["audit"][-2:] == ["broadcast_completed", "renamed"]
    assert "dissolved" in kinds["review"]
    assert not (project / ".aegis/state/books/group.jsonl").exists()
