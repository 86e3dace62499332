"""What the HTML pages share: templates, `/assets/...`, forms and error pages.

The pages of `login` and `account` use it, and `http.errors` for the error pages.
"""
