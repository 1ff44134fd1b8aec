"""The section `limits`: how much of everything, for whom."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings


class LimitsSettings(Settings):
    """`limits`: what is more is refused with the name of the setting; people are limited only where it says so."""

    mailbox_letters: int = Field(
        1_000, ge=1, description="messages to one recipient that are not done with; twice as many from people"
    )
    mailbox_bytes: int = Field(4_000_000, ge=1_000, description="the same in bytes")
    mailbox_share: int = Field(50, ge=1, le=100, description="percent of a mailbox for one agent and its children")
    turn_bytes: int = Field(
        200_000, ge=1_000, description="bytes of messages that one turn reads; one larger message is refused"
    )
    max_spawned_by_agent: int = Field(
        4, ge=0, description="agents alive that one agent started, by itself or through a group or a workflow"
    )
    max_agents: int = Field(16, ge=0, description="agents alive at which agents start no more; people may go on")
    max_agents_in_all: int = Field(100, ge=1, description="agents alive at which nobody starts one more")
    max_handles: int = Field(20, ge=1, description="handles of one agent, old ones that still lead to it among them")
    max_terminals_by_agent: int = Field(4, ge=0, description="terminals that one agent opened")
    max_terminals: int = Field(32, ge=0, description="terminals at which agents open no more, closed ones counted")
    max_canvases_by_agent: int = Field(16, ge=0, description="canvases that one agent opened")
    max_canvases: int = Field(100, ge=0, description="canvases at which agents open no more")
    max_groups_by_agent: int = Field(8, ge=0, description="groups that one agent made")
    max_groups: int = Field(50, ge=0, description="groups at which agents make no more")
    max_group_members: int = Field(16, ge=1, description="members of a group at which agents add no more")
    max_runs_by_agent: int = Field(4, ge=0, description="workflows of one agent that run or wait")
    max_requests: int = Field(20, ge=1, description="permission requests of one agent that are open at once")
    request_characters: int = Field(500_000, ge=1_000, description="characters of one permission request")
    max_people: int = Field(20, ge=1, description="people with unread messages at which agents write to no others")
    call_bytes: int = Field(2_000_000, ge=1_000, description="bytes of the arguments of one call by an agent")
    calls_per_minute: int = Field(6_000, ge=1, description="calls of verbs by one agent")
    changes_per_minute: int = Field(240, ge=1, description="of these, calls of verbs that change something")
    sends_per_minute: int = Field(60, ge=1, description="messages and broadcasts by one agent")
    questions_per_minute: int = Field(10, ge=1, description="of these, messages to people")
    tasks_per_minute: int = Field(60, ge=1, description="tasks handed to queues by one agent")
    spawns_per_minute: int = Field(12, ge=1, description="agents started by one agent, alive or not")
    renames_per_minute: int = Field(6, ge=1, description="renames by one agent")
    runs_per_minute: int = Field(10, ge=1, description="workflows started by one agent")
    requests_per_minute: int = Field(120, ge=1, description="permission requests of one agent")
    calls_per_minute_of_people: int = Field(
        12_000, ge=1, description="calls of verbs by one person or program that acts for no agent"
    )
