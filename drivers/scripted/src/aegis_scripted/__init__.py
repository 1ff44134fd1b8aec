"""The embedded default agent: a real process that follows a script, for machines without any agent CLI."""
