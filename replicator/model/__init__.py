"""Pure data: what a row, a table, a change and a position are. No I/O, no clock."""
