"""Reach a site, this machine or another one: run commands there, and bring files there and back."""
