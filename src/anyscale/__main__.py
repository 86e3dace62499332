"""`python -m anyscale` is the command `anyscale`."""

from anyscale.cli import main

if __name__ == "__main__":
    main()
