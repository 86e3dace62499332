"""`./dev mutants`: change modules, and see that their tests notice it."""
