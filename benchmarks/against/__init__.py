"""This tree beside an earlier commit: the processor time of both, in alternation."""
