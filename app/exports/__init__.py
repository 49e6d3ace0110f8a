"""Whole tables as files, built once a release, and what describes them."""
