import pytest

from aegis_repl.completer import Wanted, wanted


def verb(name, positional=(), completes=None, /, **properties):
    schema = {"properties": properties}
    return {
        "name": name,
        "help": f"Do {name}.",
        "positional": positional,
        "completes": completes or {},
        "schema": schema,
    }


VERBS = [
    verb("sessions"),
    verb("send", ("handle", "text"), {"handle": "handle"}, handle={}, text={}, wait={"type": "boolean"}),
    verb("spawn", ("agent",), {"agent": "profile"}, agent={}, handle={"type": "string", "description": "its name"}),
    verb("mode", ("to",), to={"enum": ["read", "full"]}),
    verb("canvas write", ("name",), {"name": "canvas"}, name={}),
]
COMMANDS = {"/canvas write", "/help", "/mode", "/quit", "/send", "/sessions", "/spawn", "/tab"}


@pytest.mark.parametrize("text", ["hello", "//send", " /send", "", "@wry hello"])
def test_what_is_said_is_not_completed(text):
    assert wanted(text, VERBS) is None


@pytest.mark.parametrize("text", ["/", "/se", "/canvas", "/canvas wr"])
def test_commands(text):
    want = wanted(text, VERBS)
    assert {word for word, _ in want.choices} == COMMANDS
    assert want.prefix == text


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("@wr", Wanted("@wr", values="handle", lead="@")),
        ("/tab w", Wanted("w", values="handle")),
        ("/send ", Wanted("", values="handle")),
        ("/send wr", Wanted("wr", values="handle")),
        ("/send wry ", Wanted("")),
        ("/send wry hello", Wanted("hello")),
        ("/send wry hello ", Wanted("", (("--wait", ""),))),
        ("/send wry --w", Wanted("--w", (("--wait", ""),))),
        ("/spawn ", Wanted("", values="profile")),
        ("/spawn opus ", Wanted("", (("--handle", "its name"),))),
        ("/spawn opus --handle ", Wanted("")),
        ("/spawn --handle x ", Wanted("", values="profile")),
        ("/mode ", Wanted("", (("read", "to"), ("full", "to")))),
        ("/canvas write no", Wanted("no", values="canvas")),
    ],
)
def test_arguments(text, want):
    assert wanted(text, VERBS) == want
