"""`./dev mutants`: change the core rules, and see that their tests notice it."""
