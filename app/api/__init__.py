"""One file a resource, each in reading order: parameters, row, table, routes."""
