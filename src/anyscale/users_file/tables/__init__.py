"""Files that are tables: a header names the fields of the columns, and each row is a user.

`csv_reader` and `xlsx_reader` find the rows and the place of each cell; `table_reader` makes users
of them. `encodings` knows those of CSV, and `columns` what a page shows of a header.
"""
