"""Khorgos: trade and projects of China and Central Asia, every figure traced to the words of its source."""

__version__ = "0.1.0"
