"""Instruments that measure for a step: reached by files, by a driver program or over HTTP."""
