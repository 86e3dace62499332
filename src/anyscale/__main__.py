"""Run the command `anyscale` by `python -m anyscale`."""

from anyscale.cli import main

if __name__ == "__main__":
    main()
