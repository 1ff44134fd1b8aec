"""Schedules: what is to be done at a time, again and again; and reminders that wake an agent."""
