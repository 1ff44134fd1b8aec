"""The process: the agent, with the flags of its command line."""

import sys

from aegis_acp.testing.agent import main

main(sys.argv[1:])
