"""Everything that this package offers."""

from collections.abc import Callable
from typing import Any

from aegis_workflows.basics import enqueue, prompt
from aegis_workflows.plan import execute_plan
from aegis_workflows.review import review_branch
from aegis_workflows.spec import brainstorm_to_spec
from aegis_workflows.tdd import tdd_cycle

WORKFLOWS: list[Callable[..., Any]] = [brainstorm_to_spec, enqueue, execute_plan, prompt, review_branch, tdd_cycle]

# The permission that an agent needs to run it, as long as `workflows.allow` says nothing else: those that run commands
# are asked about each, or may run it unasked, in every mode but `read`.
for _workflow in WORKFLOWS:
    _workflow.agents_need = "read" if _workflow in (enqueue, prompt) else "auto"  # type: ignore[attr-defined]
