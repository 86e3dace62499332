"""Files that are tables: a header names the fields of the columns, and each row is a user.

`csv_reader` finds the rows and the place of each cell; `table_reader` makes users of them.
"""
