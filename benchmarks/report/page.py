"""The text of docs/benchmarks.md: ratios first, then the plots.

A part that was not measured with these sizes yet is left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.report.results import Plot, Results

_STORES = ("SQLite", "PostgreSQL")

_INTRODUCTION = """\
# Benchmarks

`./dev bench --report` measured everything on this page and wrote it, on {date}, with batches of
up to {users:,} users. Compare ratios: they depend less on the machine than times do. The same run
measures both sides of a ratio.

## Machine

"""

_SPEED = """\
## How fast are users created?

A time of musterroll is that of the whole command, from its start to its exit: it reads a YAML
file, validates it, sends it over HTTP, and the server writes the users and the audit log. A time
of Django is that of `bulk_create` alone: the objects are in memory, nothing is validated, and
there is one transaction. Both insert the same users, with random emails, into the same table with
the same indexes on the same database, with the same guarantee that committed data is on disk.

The columns "times as fast as Django" are the time of Django divided by that of musterroll: above 1
musterroll is faster (bold), below 1 Django is. In a small batch most of the time of musterroll is
the start of the command, which `bulk_create` does not have. This decides for which sizes the
number is below 1.

The plot also shows the embedded run, without a server. In a large batch it is slower than HTTP:
reading the file and writing the database take turns in one Python interpreter, and over HTTP they
are two processes.
"""

_MEMORY = """\
## How much memory does it take to create a batch?

The peak memory of the command and of the server while the users are created. Comparing a file with
the accounts and undoing a batch are not in this table: [Limits](#limits) has their memory. The
first column is how much the peak rises from a hundredth of the users to all of them.
"""

_PASSWORDS = """\
## How fast are passwords hashed?

Argon2id with 19 MiB, 2 passes and 1 lane, as OWASP recommends. musterroll hashes by PyNaCl;
argon2-cffi is the usual library. The times are those of the whole command.
"""

_LATENCY = """\
## What do others notice?

An administrator lists 100 users, and users sign in with their passwords, one request after
another, while a batch is created. The columns are ratios to the response times of the idle
server. A sign-in waits for a hash beside two busy processes and, on SQLite, for one chunk of users.
"""

_GROWTH = """\
## What do many users cost later?

The time of a batch over HTTP while other users are in the database, by the time of the same batch
in an empty one.
"""

_SEARCH = """\
## How fast is a search?

The milliseconds until the first page of 100 users, among {users:,} accounts and with a batch of as
many users open beside them. A server looks for accounts for about 30 ms, and then responds with
those that it has found and a cursor, from which the next request continues. So for something rare
or absent the table shows the time of one page, which may be empty, and not of the whole search: to
look at every one of a million accounts takes [a second or
two](operations/find-users.md#find-users).

The tables of "PostgreSQL, analyzed" have statistics. A response takes at most 100 ms at p99: true
for {met} of {all}.
"""

_LIMITS = """\
## Limits

What must not get slower or larger. A "no" means that the code does not keep the limit on this
machine: the limit stays as it is, until the code keeps it. "A bare loop" reads the same file by
the YAML parser, and has no code of musterroll: the ratio to it depends less on the machine than the
time does.
"""

_AGAIN = """\
## Run it again

```sh
./dev bench --report                   # everything on this page, in about 45 minutes on 2 cores
./dev bench --report search            # measures one part again, and keeps the others
./dev bench --report --users 20000     # a smaller report, for work on it
./dev bench --redraw                   # the page and its plots from docs/benchmarks/results.json
./dev bench million                    # a part: ./dev bench --help lists them
./dev bench kills                      # kill -9 of client and server during a million users
./dev bench floods                     # sign-ins and resets while strangers flood a server
./dev bench reset_oracle               # what the times of resets tell strangers, in 45 minutes
```

Linux, Python 3.11 or later and 6 GB on the disk are enough. Nothing else should run on the
machine.
"""


def page(results: Results) -> str:
    """Return the page in Markdown."""
    parts = [
        _INTRODUCTION.format(date=results.date, users=results.users),
        *_table(("", ""), results.machine.items()),
        *_speed(results),
        *_memory(results),
        *_passwords(results),
        *_latency(results),
        *_growth(results),
        *_search(results),
        *_limits(results),
        "\n" + _AGAIN,
    ]
    return "".join(parts)


def _speed(results: Results) -> Iterator[str]:
    if not (speed := results.plot("speed")):
        return
    sizes = list(next(iter(speed.values())))
    ratios = {
        store: [speed[f"HTTP, {store}"][n] / speed[f"Django, {store}"][n] for n in sizes]
        for store in _STORES
    }
    last = " and ".join(f"{ratios[store][-1]:.1f} times as fast on {store}" for store in _STORES)
    last = f"{sizes[-1]:,} users {last} as Django"
    yield f"\n{_SPEED}\n**musterroll creates {last}.**\n\n"
    yield from _speed_table(speed, ratios, sizes)
    yield _plot("speed", f"Users a second by size of the batch: {last}")


def _speed_table(
    speed: Plot,
    ratios: Mapping[str, Sequence[float]],
    sizes: Sequence[int | str],
) -> Iterator[str]:
    heads = [f"{store}: times as fast as Django" for store in _STORES]
    heads += [f"{store}: users a second" for store in _STORES]
    rows = [
        (
            f"{size:,}",
            *(_bold_if_faster(ratios[store][row]) for store in _STORES),
            *(_short(speed[f"HTTP, {store}"][size]) for store in _STORES),
        )
        for row, size in enumerate(sizes)
    ]
    return _table(("users in the batch", *heads), rows)


def _bold_if_faster(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio >= 1 else f"{ratio:.2f}"


def _memory(results: Results) -> Iterator[str]:
    if not (memory := results.plot("memory")):
        return
    sizes = list(next(iter(memory.values())))
    few, many = sizes[1], sizes[-1]
    yield f"\n{_MEMORY}\n"
    rows = []
    for name, values in memory.items():
        rise = values[many] - values[few]
        rows.append((name, f"**{rise:+.0f} MiB**", *(f"{values[size]:.0f}" for size in sizes)))
    heads = [f"{size:,} users (MiB)" for size in sizes]
    yield from _table(("", f"{many:,} users over {few:,}", *heads), rows)
    most = max(values[many] for values in memory.values())
    yield _plot("memory", f"Peak memory of creating, by size of the batch: at most {most:.0f} MiB")


def _passwords(results: Results) -> Iterator[str]:
    if not (passwords := results.plot("passwords")):
        return
    ours, other = passwords["PyNaCl"], passwords["argon2-cffi"]
    yield f"\n{_PASSWORDS}\n"
    first = next(iter(ours))
    rows = [
        (
            str(cores),
            f"**{ours[cores] / other[cores]:.2f}**",
            f"**{ours[cores] / ours[first]:.2f}**",
            _short(ours[cores]),
        )
        for cores in ours
    ]
    heads = ("cores", "PyNaCl / argon2-cffi", "to one core", "users a second")
    yield from _table(heads, rows)
    text = f"PyNaCl {ours[first] / other[first]:.2f} times as fast as argon2-cffi on one core"
    yield _plot("passwords", f"Users with passwords a second by cores: {text}")


def _latency(results: Results) -> Iterator[str]:
    if not (latency := results.plot("latency")):
        return
    _, *busy = next(iter(latency.values()))
    yield f"\n{_LATENCY}\n"
    rows = _ratios(latency, busy, "idle", "ms")
    yield from _table(("", *(f"{name} / idle" for name in busy), "idle"), rows)
    yield _plot("latency", "Response times of other requests, idle and while a batch is created")


def _growth(results: Results) -> Iterator[str]:
    if not (growth := results.plot("growth")):
        return
    _, *existing = next(iter(growth.values()))
    yield f"\n{_GROWTH}\n"
    rows = _ratios(growth, existing, 0, "µs a user")
    yield from _table(("", *(f"{number:,} users" for number in existing), "none"), rows)
    yield _plot("growth", "Microseconds a new user by the number of users in the database")


def _ratios(
    plot: Plot, places: Sequence[int | str], base: int | str, unit: str
) -> Iterator[Sequence[str]]:
    """Yield a row for each series: its ratios to the value at one place, and that value."""
    for name, values in plot.items():
        ratios = (f"**{values[place] / values[base]:.2f}**" for place in places)
        yield name, *ratios, f"{values[base]:.1f} {unit}"


def _search(results: Results) -> Iterator[str]:
    if not (search := results.plot("search")):
        return
    met = [shown.is_met for shown in results.results if shown.benchmark == "search"]
    yield f"\n{_SEARCH.format(users=results.users, met=sum(met), all=len(met))}\n"
    places = dict.fromkeys(at for values in search.values() for at in values)
    rows = [
        (str(at), *(f"{values[at]:.1f}" if at in values else "" for values in search.values()))
        for at in places
    ]
    yield from _table(("", *search), rows)
    yield _plot("search", "Response times of searches, p50 and p99, by what is searched for")


def _limits(results: Results) -> Iterator[str]:
    yield f"\n{_LIMITS}\n"
    rows = [
        (
            "yes" if shown.is_met else "**no**",
            _with_unit(shown.value, shown.unit),
            f"{'at least' if shown.at_least else 'at most'} {_with_unit(shown.limit, shown.unit)}",
            shown.what,
        )
        for shown in results.results
        if shown.benchmark != "search"  # which has a table of its own
    ]
    yield from _table(("met", "measured", "limit", "what"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


def _plot(name: str, text: str) -> str:
    return f"\n![{text}](benchmarks/{name}.svg)\n"


def _with_unit(value: float, unit: str) -> str:
    return f"{_short(value)}{unit}".replace(" us ", " µs ")


def _short(value: float) -> str:
    if abs(value) < 0.1:  # a difference of two peaks, which may be nothing
        return f"{value:.1f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
