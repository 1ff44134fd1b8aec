"""Plugins found by entry point and called by hook, each by itself: a broken one is named, and the rest run."""
