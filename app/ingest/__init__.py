"""Data in: readers of seed files and statistics, and the one way they are published."""
