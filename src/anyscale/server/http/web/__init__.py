"""What the HTML pages share: templates, `/assets/...`, forms, and files to save.

Every package with pages uses it, and `http.errors` for the error pages.
"""
