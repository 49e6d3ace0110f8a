"""SDMX 2.1 (SDMX-REST 1.5): what is published, as statistical software reads it. No SDMX library is used."""
