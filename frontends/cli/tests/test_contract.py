"""The contract every plugin and every frontend keeps."""

from aegis.testing.contracts import FrontendContract, PluginContract
from aegis_cli.transcript import Transcript


class TestCli(PluginContract, FrontendContract):
    plugin = "cli"
    silent = frozenset({
        "SessionStarted", "TurnStarted", "Thought", "Usage", "AgentChanged", "VerbsChanged", "Unknown",
    })  # fmt: skip

    def render(self, event):
        transcript = Transcript(lambda agent_id: "ada")
        return [*transcript.take("1", event), *transcript.rest("1")]
