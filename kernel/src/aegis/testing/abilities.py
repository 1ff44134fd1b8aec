"""What a CLI under a driver can do, in the words of `@pytest.mark.ability`; a test names the abilities that it proves.

A test that proves that a CLI lacks an ability says so too: `@pytest.mark.ability("permission read", no="why")`.
"""

from __future__ import annotations

ABILITIES: dict[str, str] = {
    # conversation
    "answers": "a prompt is answered, and every turn ends exactly once",
    "thoughts": "what the model thinks is told apart from what it says",
    "tool calls": "every use of a tool is announced, and its end is told",
    "plan": "what the agent means to do is told as a plan",
    "sub-agents": "what a sub-agent does is told under its parent, and the turn waits for it",
    "effort": "the effort of the profile reaches the model",
    "usage": "the tokens of every turn are counted",
    "cost": "the dollars of every turn are counted",
    # agents of aegis
    "primer": "the primer reaches the model",
    "compaction primer": "the primer reaches the model again when the conversation was compacted",
    "plane": "tools of the plane are called with the agent's own secret, which no one else can read",
    "long plane call": "a call of the plane may take longer than the CLI's own limit for tools",
    "lost plane": "a plane that cannot be reached is reported",
    "hand-over": "a message of one agent, sent through the plane, becomes a turn of another",
    "reopen": "the workspace of the last time goes on where it was, by resuming or from the record",
    # permission
    "permission read": "it changes nothing, whatever the person's own settings allow",
    "permission write": "it edits inside its folder unasked, and a person is asked for the rest",
    "permission auto": "a person is asked, and the answer is obeyed",
    "permission full": "nobody is asked",
    "what governs it": "it changes no file that says what it may do, or that others run, without a person's permission",
    "open requests": "an interrupt takes back what was asked of a person",
    # stopping and going on
    "interrupt": "an interrupt ends the turn and keeps the session",
    "resume": "a conversation goes on in a new process",
    "lost session": "a conversation that is not there is not resumed, and that is said",
    "turn limit": "a turn that never ends is ended",
    "clean exit": "leaving, even in the middle of a turn, leaves no process and no file",
    "quit": "quitting in the middle of a turn takes less than two seconds, and the turn is said to be interrupted",
    # what goes wrong
    "failed start": "a CLI that does not come up is named and quoted",
    "model errors": "an error of the model fails the turn with its reason, and the session goes on",
    "retries": "an error of the model that passes costs no turn",
    "cut answers": "a refusal and an answer that was cut are outcomes of their own",
    "crash": "a CLI that dies is told with how it died, and leaves nothing",
    "deaf CLI": "a CLI that does not obey an interrupt is killed",
    "bad output": "lines that are no message, very long ones and a flood of complaints hinder nobody",
}
