"""What authors of workflows import."""

from aegis_workflow.catalogue import get_workflow, list_workflows, workflow
from aegis_workflow.errors import BudgetExceeded, NeedsAttention, NonDeterminism, PredicateFailed, WorkflowError

__all__ = [
    "BudgetExceeded",
    "NeedsAttention",
    "NonDeterminism",
    "PredicateFailed",
    "WorkflowError",
    "get_workflow",
    "list_workflows",
    "workflow",
]
