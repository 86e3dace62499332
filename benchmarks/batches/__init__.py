"""The time and memory of a batch, as a whole and by its parts, and kills during one."""
