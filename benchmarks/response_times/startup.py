"""Start a command: the processor time of `--help` and of creating 2 users, beside `import click`.

The second one is over its limit: requirements/README.md has the cost of each part, and proposes
another limit.
"""

from pathlib import Path

from benchmarks.support.measuring import Cost, anyscale, pairs, python, run, show

PAIRS = 21


def measure(folder: Path) -> None:
    click = python("import click")
    home = {"ANYSCALE_DATA_DIR": str(folder / "home")}
    numbers = iter(range(1_000))

    def two_users() -> Cost:
        number = next(numbers)
        users = folder / "users.yaml"
        entries = (
            f"- name: name{i}\n  email: test{number}-{i}@anyscale.com\n  password: ''\n"
            f"  is_sso_user: false\n  lastname: lastname{i}\n  title: title{i}\n"
            for i in (1, 2)
        )
        users.write_text("create_users:\n" + "".join(entries), encoding="utf-8")
        return run(anyscale("user", "batch-create", "--users-file", users), home)

    help_ = pairs(lambda: run(anyscale("--help")), lambda: run(click), PAIRS)
    show("anyscale --help / `import click`", help_.ratio(lambda cost: cost.cpu), 1.25)
    two = pairs(two_users, lambda: run(click), PAIRS)
    show("creating 2 users / `import click`", two.ratio(lambda cost: cost.cpu), 3)
