"""The kit for plugin authors: contracts to inherit, fakes that are real processes, a clock, a crash harness."""
