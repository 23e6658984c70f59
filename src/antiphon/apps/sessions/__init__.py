"""Conversations that a server keeps: ``antiphon sessions``."""
