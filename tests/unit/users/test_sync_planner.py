"""What a sync would do: the planner, without a control plane."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from anyscale.comparison.answers import matched_answers
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_planner import Planner
from anyscale.domain.emails import email_key
from anyscale.domain.matching import Conflict
from anyscale.domain.models.sync import SyncPlan, SyncStep
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(email: str, **fields: Any) -> CheckedUser:
    """Return an entry of a file with the columns email, name and lastname."""
    known: dict[str, Any] = {"name": "Ann", "lastname": None, **fields}
    absent = dict.fromkeys(("title", "external_id", "is_sso_user"), UNSET)
    return CheckedUser(email=email, email_key=email_key(email), **{**absent, **known})


def account(email: str, **fields: Any) -> User:
    known = {"name": "Ann", "permission_level": "collaborator", "created_at": AT, **fields}
    return User(**{"email": email, "user_id": f"usr_{email}", **known})


@dataclass
class World:
    """Accounts by their keys, to which plans are applied."""

    accounts: dict[str, User] = field(default_factory=dict)

    @classmethod
    def of(cls, accounts: Iterable[User]) -> "World":
        return cls({email_key(one.email): one for one in accounts})

    def plan(self, entries: Sequence[CheckedUser], options: SyncOptions) -> SyncPlan:
        planner = Planner(options)
        planner.add_entries(
            [(at, one, self.accounts.get(one.email_key)) for at, one in enumerate(entries)]
        )
        planner.end_entries()
        for known in self.accounts.values():
            if known.suspended_at is None and known.user_id not in planner.seen:
                planner.add_missing(known)
        return planner.plan(sum(one.suspended_at is None for one in self.accounts.values()))

    def apply(self, plan: SyncPlan) -> None:
        for step in plan.correct:
            assert step.changes
            self._change(step, **step.changes.to_dict())
        for step in plan.restore:
            self._change(step, suspended_at=None, suspended_by_sync=False)
        for step in plan.suspend:
            self._change(step, suspended_at=AT, suspended_by_sync=True)
        for step in plan.create:
            assert step.changes
            created = account(**step.changes.to_dict())
            assert self.accounts.setdefault(email_key(step.email), created) is created

    def _change(self, step: SyncStep, **fields: object) -> None:
        key = email_key(step.email)
        self.accounts[key] = structs.replace(self.accounts[key], **fields)


ALL = SyncOptions(restore=True)
EMAILS = [f"{name}@example.com" for name in ("ann", "ben", "cid", "dora", "eve")]
NAMES = st.sampled_from(["Ann", "Ben", "Cid"])
LASTNAMES = st.sampled_from([None, "", "Roe", "Doe"])
ENTRIES = st.lists(
    st.builds(entry, st.sampled_from(EMAILS), name=NAMES, lastname=LASTNAMES),
    unique_by=lambda one: one.email_key,
)
ACCOUNTS = st.lists(
    st.builds(
        lambda state, **fields: account(**fields, **state),
        st.sampled_from(
            [
                {},
                {"suspended_at": AT},
                {"suspended_at": AT, "suspended_by_sync": True},
                {"permission_level": "owner"},
            ]
        ),
        email=st.sampled_from(EMAILS).map(str.upper),
        name=NAMES,
        lastname=LASTNAMES,
    ),
    unique_by=lambda one: one.email,
)


@given(ENTRIES, ACCOUNTS)
def test_after_a_sync_the_accounts_are_as_in_the_file_but_those_that_it_left(
    entries: list[CheckedUser], accounts: list[User]
) -> None:
    world = World.of(accounts)
    before = dict(world.accounts)
    plan = world.plan(entries, ALL)
    world.apply(plan)

    left = {email_key(step.email) for step in plan.left}
    left |= {email_key(one.email) for one in plan.questions}
    left |= {email_key(one.account_email) for one in plan.questions if one.account_email}
    of_entries = {one.email_key: one for one in entries}
    for key, now in world.accounts.items():
        was = before.get(key)
        if key in left or (was and was.permission_level == "owner"):
            assert now == was
        elif one := of_entries.get(key):
            assert (now.name, now.lastname or None) == (one.name, one.lastname or None)
            assert now.suspended_at is None
        else:
            assert now.suspended_at is not None
    assert set(world.accounts) == set(before) | (set(of_entries) - left)
    again = world.plan(entries, ALL)
    assert (again.steps, again.left) == (0, plan.left)
    assert [one.change for one in again.questions] == [one.change for one in plan.questions]


@given(ENTRIES, ACCOUNTS, st.sampled_from(["create", "correct", "suspend_missing", "restore"]))
def test_a_plan_has_only_the_kinds_that_were_chosen(
    entries: list[CheckedUser], accounts: list[User], kind: str
) -> None:
    kinds = dict.fromkeys(["create", "correct", "suspend_missing", "restore"], False)
    plan = World.of(accounts).plan(entries, structs.replace(SyncOptions(), **{**kinds, kind: True}))

    assert plan.steps == len(getattr(plan, kind.removesuffix("_missing")))


def test_users_are_created_in_the_order_of_the_file_also_if_the_first_one_is_matched_last() -> None:
    planner = Planner(ALL)
    planner.add_entries([(1, entry("b@example.com"), None), (0, entry("a@example.com"), None)])
    planner.end_entries()
    assert [step.email for step in planner.plan(0).create] == ["a@example.com", "b@example.com"]


def test_an_owner_is_listed_and_left() -> None:
    world = World.of([account(EMAILS[0], permission_level="owner"), account(EMAILS[1])])
    plan = world.plan([entry(EMAILS[0], name="Zoe")], ALL)
    assert [step.reason for step in plan.left] == [
        "it is an owner's, which no file changes: name: 'Ann' -> 'Zoe'"
    ]
    (kept,) = world.plan([entry(EMAILS[1])], ALL).left
    assert kept.reason == "it is not in the file, and an owner's: owners are kept"


def test_only_an_account_that_a_sync_suspended_is_restored_and_only_for_the_whole_name() -> None:
    by_sync = {"suspended_at": AT, "suspended_by_sync": True}
    world = World.of(
        [
            account("hand@example.com", suspended_at=AT),
            account("same@example.com", lastname="Doe", **by_sync),
            account("other@example.com", lastname="Doe", **by_sync),
            account("single@example.com", **by_sync),
            account("number@example.com", external_id="1", **by_sync),
            account("none@example.com", **by_sync),
        ]
    )
    entries = [
        entry("hand@example.com", lastname="Roe"),
        entry("same@example.com", lastname="DOE", title="Boss"),
        entry("other@example.com", lastname="Roe"),
        entry("single@example.com", name="Zoe"),
        entry("number@example.com"),
        entry("none@example.com", name=UNSET, lastname=UNSET),
    ]
    plan = world.plan(entries, ALL)
    assert [step.email for step in plan.restore] == ["same@example.com"]
    assert [step.email for step in plan.correct] == ["same@example.com"]
    assert [step.reason for step in plan.left] == ["it was suspended manually, and stays suspended"]
    assert [(one.email, one.kind) for one in plan.questions] == [
        ("other@example.com", "returned"),
        ("single@example.com", "returned"),
        ("number@example.com", "returned"),
        ("none@example.com", "returned"),
    ]

    without = world.plan(entries, SyncOptions())
    assert (without.steps, len(without.left), len(without.questions)) == (0, 2, 4)
    assert "`--restore` restores it" in without.left[1].reason
    same = {one.change: "same" for one in plan.questions}
    answered = world.plan(entries, structs.replace(ALL, answers=same))
    assert (len(answered.restore), answered.questions) == (5, [])


def test_an_account_and_an_entry_of_one_name_are_a_question_until_they_are_said_to_differ() -> None:
    world = World.of([account("ann@example.com", lastname="Doe"), account("cid@example.com")])
    entries = [entry("ann@example.co", name="ANN ", lastname="doe"), entry("cid@example.com")]

    for options in (ALL, SyncOptions(suspend_missing=False), SyncOptions(create=False)):
        plan = world.plan(entries, options)
        assert [(pair.suspend.email, pair.create.email) for pair in plan.look_alikes] == [
            ("ann@example.com", "ann@example.co")
        ]
        (question,) = plan.questions
        assert (question.kind, question.email) == ("look_alike", "ann@example.co")
        assert (plan.stops, plan.steps) == ([], 0)
    for email in ("ANN@example.com", "ann@Example.co"):
        options = SyncOptions(they_differ=frozenset({email}))
        (answer,) = matched_answers(options, plan.questions)
        answered = world.plan(entries, structs.replace(options, answers=answer.by_change))
        assert (answered.questions, answered.steps) == ([], 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "is_alike"), [("1", "2", False), ("1", None, True), (None, "1", True)]
)
def test_two_different_numbers_are_two_people(
    ours: str | None, theirs: str | None, is_alike: bool
) -> None:
    world = World.of([account("ann@example.com", external_id=theirs)])
    plan = world.plan([entry("ann@example.co", external_id=ours)], ALL)
    assert bool(plan.look_alikes) is is_alike


@given(
    st.lists(st.sampled_from([None, "1", "01", "2"]), max_size=4),
    # with other zeros: an account with exactly the number of an entry is left
    st.lists(st.sampled_from([None, "001", "002"]), max_size=4),
    st.sets(st.integers(0, 7)),
)
def test_a_question_is_about_each_account_that_may_be_the_person_of_an_entry(
    theirs: list[str | None], ours: list[str | None], differing: set[int]
) -> None:
    accounts = [
        account(f"{at}@a.example", external_id=number, name="Bo" if at == 2 else "Ann")
        for at, number in enumerate(theirs)
    ]
    entries = [entry(f"{at}@b.example", external_id=number) for at, number in enumerate(ours)]
    emails = frozenset(f"{at % 4}@{'ab'[at // 4]}.example" for at in differing)

    def may_be_one(one: User, other: CheckedUser) -> bool:
        numbers = {int(number) for number in (one.external_id, other.external_id) if number}
        return one.name == other.name and len(numbers) < 2

    alike = {
        other.email: [one.email for one in accounts if may_be_one(one, other)] for other in entries
    }
    options = SyncOptions(they_differ=emails)
    plan = World.of(accounts).plan(entries, options)
    asked = {one.email: one.account_email for one in plan.questions}
    assert asked == {
        email: one[0] if len(one) == 1 else None for email, one in alike.items() if one
    }
    left = {email for one in alike.values() for email in one}
    assert {step.email for step in plan.suspend} == {one.email for one in accounts} - left
    answers = {
        change: answer
        for one in matched_answers(options, plan.questions)
        for change, answer in one.by_change.items()
    }
    plan = World.of(accounts).plan(entries, structs.replace(options, answers=answers))
    still_open = {one: of for one, of in asked.items() if emails.isdisjoint({one, of})}
    assert {one.email: one.account_email for one in plan.questions} == still_open
    left = {email for one in still_open for email in alike[one]}
    assert {step.email for step in plan.suspend} == {one.email for one in accounts} - left


def test_the_email_of_an_account_answers_for_each_entry_that_may_be_its_person() -> None:
    world = World.of([account("ann@example.com", lastname="Doe")])
    entries = [entry(f"ann{at}@example.com", lastname="Doe") for at in (1, 2)]
    questions = world.plan(entries, ALL).questions
    options = structs.replace(ALL, they_differ=frozenset({"ann@example.com"}))

    (answer,) = matched_answers(options, questions)
    assert [one.email for one in answer.questions] == ["ann1@example.com", "ann2@example.com"]
    answered = world.plan(entries, structs.replace(options, answers=answer.by_change))
    assert ([one.email for one in answered.suspend], len(answered.create)) == (
        ["ann@example.com"],
        2,
    )


def test_nobody_of_a_name_is_suspended_while_a_question_about_the_name_is_open() -> None:
    people = [account(f"ann{at}@example.com", lastname="Doe") for at in range(3)]
    entries = [entry("ann@example.co", lastname="Doe")]
    world = World.of(people)
    (question,) = (plan := world.plan(entries, ALL)).questions
    assert (plan.steps, question.account_email) == (0, None)
    assert "3 people of the same name, such as Ann Doe (ann0@example.com), are not in" in (
        question.reason
    )

    options = structs.replace(ALL, they_differ=frozenset({"ann0@example.com"}))
    assert matched_answers(options, [question]) == []
    options = structs.replace(ALL, they_differ=frozenset({"ann@example.co"}))
    (answer,) = matched_answers(options, [question])
    answered = world.plan(entries, structs.replace(options, answers=answer.by_change))
    assert (len(answered.suspend), len(answered.create), answered.questions) == (3, 1, [])
    # an answer is about these accounts: with another one it is asked again
    world = World.of([*people, account("ann3@example.com", lastname="Doe")])
    assert world.plan(entries, structs.replace(options, answers=answer.by_change)).questions


def test_20_000_people_of_one_name_are_not_compared_in_pairs() -> None:
    people = range(20_000)  # in pairs it takes a minute
    world = World.of(account(f"{at}@example.com", external_id=f"a{at}") for at in people)
    plan = world.plan([entry(f"b{at}@example.com", external_id=f"b{at}") for at in people], ALL)
    assert (plan.steps, plan.look_alikes) == (40_000, [])


def many(number: int) -> list[User]:
    numbers = count()
    return [
        account(f"{at}@example.com", name=f"A{next(numbers)}", external_id=str(at))
        for at in range(number)
    ]


@pytest.mark.parametrize(
    ("accounts", "missing", "is_stopped"),
    [(60, 50, False), (60, 51, True), (700, 70, False), (700, 71, True)],
)
def test_many_suspensions_stop_a_sync_without_a_limit_of_its_own(
    accounts: int, missing: int, is_stopped: bool
) -> None:
    found = many(accounts)
    entries = [entry(one.email, name=one.name) for one in found[missing:]]
    plan = World.of(found).plan(entries, ALL)
    assert bool(plan.stops) is is_stopped
    allowed = World.of(found).plan(entries, SyncOptions(at_most_suspend=missing))
    assert allowed.stops == []


def test_many_changed_emails_stop_a_sync_without_a_limit_of_its_own() -> None:
    def plan(options: SyncOptions) -> SyncPlan:
        planner = Planner(options)
        for index, one in enumerate(many(51)):
            changed = entry(f"new.{one.email}", name=one.name, external_id=one.external_id)
            planner.add_entries([(index, changed, one)])
        planner.end_entries()
        return planner.plan(0)

    (reason,) = plan(SyncOptions()).stops
    changes = "51 to get another name, email or number, or to lose a value or SSO, of 0 accounts"
    assert reason.startswith(f"{changes}: if that is right, ")
    assert plan(SyncOptions(at_most_correct=51)).stops == []
    (reason,) = plan(SyncOptions(at_most_correct=50)).stops
    assert reason == "51 to correct, and `--at-most-correct` is 50"


def test_many_first_numbers_do_not_stop_a_sync() -> None:
    world = World.of(structs.replace(one, external_id=None) for one in many(51))
    plan = world.plan(
        [entry(one.email, name=one.name, external_id=one.external_id) for one in many(51)], ALL
    )
    assert (plan.stops, len(plan.correct)) == ([], 51)


@pytest.mark.parametrize("zeros", ["00", "9"])
def test_other_numbers_of_the_same_people_are_one_question_that_their_count_answers(
    zeros: str,
) -> None:
    world = World.of(
        structs.replace(one, external_id=f"{zeros}{one.external_id}") for one in many(51)
    )
    entries = [entry(one.email, name=one.name, external_id=one.external_id) for one in many(51)]
    plan = world.plan(entries, ALL)
    assert (plan.steps, {one.kind for one in plan.questions}) == (0, {"renumbered"})
    assert matched_answers(SyncOptions(renumbered=50), plan.questions) == []
    (answer,) = matched_answers(SyncOptions(renumbered=51), plan.questions)
    answered = world.plan(entries, structs.replace(ALL, answers=answer.by_change))
    assert (len(answered.correct), answered.questions) == (51, [])
    assert "51 to get another name, email or number" in answered.stops[0]


@pytest.mark.parametrize("field", ["name", "lastname", "title"])
@pytest.mark.parametrize(
    ("old", "new", "is_stopped"),
    [("Doe", None, True), ("Doe", "", True), (None, "Doe", False), ("", "Doe", False)],
)
def test_many_values_that_become_empty_stop_a_sync_and_many_first_ones_do_not(
    field: str, old: str | None, new: str | None, is_stopped: bool
) -> None:
    if field == "name":  # an account has one, and a file may replace it
        old, new = ("Doe", "Roe") if is_stopped else (new, new)
    world = World.of(structs.replace(one, **{field: old}) for one in many(51))
    entries = [
        entry(
            one.email,
            **{
                "name": one.name,
                "title": UNSET,
                "external_id": UNSET if field == "external_id" else one.external_id,
                field: new,
            },
        )
        for one in many(51)
    ]
    assert bool(world.plan(entries, ALL).stops) is is_stopped


def test_a_question_leaves_its_people_and_all_else_is_done() -> None:
    world = World.of(
        [
            account("a@x.org", external_id="1", name="Ann", lastname="Auer"),
            account("b@x.org", external_id="2", name="Bob", lastname="Berg"),
            account("c@x.org", external_id="3", name="Cid", lastname="Cole"),
        ]
    )
    entries = [
        entry("a@x.org", external_id="9", name="Ann", lastname="Zorn"),
        entry("b@x.org", external_id="2", name="Bob", lastname="Neu"),
        entry("d@x.org", external_id="4", name="Dan", lastname="Dorn"),
    ]
    plan = world.plan(entries, ALL)
    assert [(one.email, one.kind) for one in plan.questions] == [("a@x.org", "other_person")]
    assert [step.email for step in plan.correct] == ["b@x.org"]
    assert [step.email for step in plan.create] == ["d@x.org"]
    assert [step.email for step in plan.suspend] == ["c@x.org"]

    differ = {one.change: "differ" for one in plan.questions}
    two = world.plan(entries, structs.replace(ALL, answers=differ))
    assert [step.email for step in two.suspend] == ["a@x.org", "c@x.org"]
    assert [(step.email, step.name, step.kind) for step in two.blocked] == [
        ("a@x.org", "Ann Zorn", "leave")
    ]


def test_letters_that_the_account_has_and_the_file_lost_are_problems_and_repairs_are_not() -> None:
    world = World.of(
        [
            account("a@x.org", name="Łukasz", lastname="Wójcik"),
            account("b@x.org", name="?ukasz", lastname="W?jcik"),
            account("c@x.org", name="?ukasz"),
        ]
    )
    entries = [
        entry("a@x.org", name="?ukasz", lastname="WÃ³jcik"),
        entry("b@x.org", name="Łukasz", lastname="Wójcik"),
        entry("c@x.org", name="?ukasz"),
        entry("d@x.org", name="Ji?í"),
    ]
    planner = Planner(ALL)
    planner.add_entries(
        [(at, one, world.accounts.get(one.email_key)) for at, one in enumerate(entries)]
    )
    assert [(index, fault.field, fault.code) for index, fault in planner.draft.damaged] == [
        (0, "name", "damaged"),
        (0, "lastname", "damaged"),
    ]
    planner.end_entries()
    plan = planner.plan(3)
    assert [step.email for step in plan.correct] == ["b@x.org"]
    assert [(one.email, one.kind) for one in plan.questions] == [("d@x.org", "lost_letters")]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("W?jcik", "?ukasz"), ("Łukasz", "Wójcik")),
        (("W?jcik ?ukasz", None), ("Łukasz", "Wójcik")),
        (("W?jcik ?ukasz", None), ("Łukasz Wójcik", None)),
        (("W?jcik", "?ukasz"), ("Łukasz Wójcik", None)),
        (("?ukasz", "W?jcik"), ("Łukasz Wójcik", None)),
    ],
)
def test_lost_letters_are_found_in_swapped_columns_and_in_one_column(
    ours: tuple[str, str | None], theirs: tuple[str, str | None]
) -> None:
    known = account("a@x.org", external_id="1", name=theirs[0], lastname=theirs[1])
    user = entry("a@x.org", external_id="1", name=ours[0], lastname=ours[1])
    planner = Planner(ALL)
    planner.add_entries([(0, user, known)])
    assert [(at, fault.field) for at, fault in planner.draft.damaged] == [(0, "name")]


def test_no_number_is_cleared_so_that_another_number_is_a_question_in_the_next_month() -> None:
    world = World.of([account("a@x.org", external_id="1", lastname="Doe")])
    plan = world.plan([entry("a@x.org", external_id=None, lastname="Roe")], ALL)
    world.apply(plan)
    (after,) = world.accounts.values()
    assert (after.external_id, after.lastname) == ("1", "Roe")
    plan = world.plan([entry("a@x.org", external_id="9", lastname="Poe")], ALL)
    assert [(one.email, one.kind) for one in plan.questions] == [("a@x.org", "other_person")]


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "begins"])
def test_an_end_of_many_sso_sign_ins_stops_a_sync_and_a_beginning_does_not(ends: bool) -> None:
    world = World.of(structs.replace(one, is_sso_user=ends) for one in many(51))
    entries = [entry(one.email, name=one.name, is_sso_user=not ends) for one in many(51)]
    assert bool(world.plan(entries, ALL).stops) is ends


def test_a_number_that_lost_its_zeros_does_not_say_that_two_people_differ() -> None:
    world = World.of([account(EMAILS[0], external_id="00009")])
    plan = world.plan([entry(EMAILS[1], external_id="9")], ALL)
    assert "is an email mistyped, cut off or new?" in plan.questions[0].reason


def test_new_accounts_are_counted_if_they_would_be_suspended() -> None:
    days = {"old@x.org": 8, "new@x.org": 6, "ben@x.org": 0}
    world = World.of(
        account(
            email, name=email[:3], lastname="Doe", created_at=datetime.now(UTC) - timedelta(age)
        )
        for email, age in days.items()
    )
    plan = world.plan([entry("ben@y.org", name="ben", lastname="Doe")], ALL)  # is in question
    assert [step.email for step in plan.suspend] == ["old@x.org", "new@x.org"]
    assert plan.suspend_recent == 1


def test_each_limit_is_about_its_own_kind() -> None:
    world = World.of([account(EMAILS[0], lastname="Doe"), account(EMAILS[1], name="Ben")])
    entries = [entry(EMAILS[0]), entry(EMAILS[2], name="Cid")]
    for kind in ("create", "correct", "suspend"):
        plan = world.plan(entries, structs.replace(SyncOptions(), **{f"at_most_{kind}": 0}))
        assert plan.stops == [f"1 to {kind}, and `--at-most-{kind}` is 0"]


def test_entries_without_a_name_create_nobody_and_let_nobody_be_suspended() -> None:
    world = World.of([account(EMAILS[0])])
    nameless = entry("ann@example.co", name=UNSET)
    plan = world.plan([nameless], ALL)
    assert (plan.create, len(plan.left)) == ([], 1)
    assert "1 without an account and without a name" in plan.stops[0]


def test_a_file_without_users_stops_the_sync() -> None:
    assert "every account would be suspended" in World().plan([], ALL).stops[0]


def test_nobody_is_created_with_an_email_that_an_account_gives_up_in_the_same_sync() -> None:
    planner = Planner(ALL)
    numbered = account("old@example.com", external_id="1")
    planner.add_entries(
        [
            (0, entry("new@example.com", external_id="1"), numbered),
            (1, entry("OLD@example.com", name="Cid"), None),
            (2, entry("dora@example.com", name="Dora"), None),
        ]
    )
    planner.end_entries()

    plan = planner.plan(2)

    assert [step.email for step in plan.create] == ["dora@example.com"]
    (blocked,) = plan.blocked
    assert "it is the email of Ann (usr_old@example.com), who gets another one" in blocked.reason


@pytest.mark.parametrize(
    ("number", "is_kept"), [("1", True), (None, True), (UNSET, True), ("2", False)]
)
def test_a_former_email_keeps_an_account_unless_another_number_has_it(
    number: Any, is_kept: bool
) -> None:
    planner = Planner(ALL)
    planner.add_missing(account("new@example.com", external_id="1"))
    former = entry("old@example.com", external_id=number)
    planner.draft.former_holders = {"usr_new@example.com": former}

    plan = planner.plan(1)

    assert (len(plan.suspend), len(plan.left)) == ((0, 1) if is_kept else (1, 0))


@pytest.mark.parametrize("found", [None, account("ann@example.com", user_id="usr_deleted")])
@pytest.mark.parametrize(("email", "number"), [("ANN@example.com", None), ("old@example.com", "1")])
def test_an_account_that_got_an_email_or_a_number_of_the_file_since_is_not_suspended(
    found: User | None, email: str, number: str | None
) -> None:
    planner = Planner(ALL)
    planner.add_entries([(0, entry("ann@example.com", external_id="1"), found)])
    planner.end_entries()
    planner.add_missing(account(email, external_id=number))
    planner.add_missing(account("ben@example.com", external_id="2"))
    plan = planner.plan(2)
    assert [step.email for step in plan.suspend] == ["ben@example.com"]
    assert plan.blocked[0].email == email
    assert "while the plan was made: sync again" in plan.blocked[0].reason
    assert not [one for one in plan.create if email_key(one.email) == email_key(email)]


@pytest.mark.parametrize("create", [True, False])
def test_nobody_is_created_with_the_email_of_an_account_that_keeps_it(create: bool) -> None:
    planner = Planner(SyncOptions(create=create))
    by_hand = account("ann@example.com", external_id="0", suspended_at=AT)
    refused = account("ben@example.com", external_id="1")
    planner.add_entries(
        [
            (0, entry("eve@example.com", external_id="0"), by_hand),
            (1, entry("fay@example.com", external_id="1"), refused),
            (2, entry("ANN@example.com", external_id="2"), None),
            (3, entry("ben@example.com", external_id="3"), None),
            (4, entry("new@example.com", external_id="4"), None),
        ]
    )
    planner.end_entries()
    planner.draft.refused_emails = {refused.user_id: "it is reserved"}
    plan = planner.plan(2)
    assert [step.index for step in plan.create] == ([4] if create else [])
    assert [(step.index, step.reason) for step in plan.blocked] == [
        (1, "it is reserved"),
        (2, "'ANN@example.com' is the email of an account that stays"),
        (3, "'ben@example.com' is the email of an account that stays"),
    ][: 3 if create else 1]


def test_an_account_gets_no_email_of_one_that_is_left_nor_do_those_that_wait_for_it() -> None:
    planner = Planner(ALL)
    by_hand = account("ann@example.com", external_id="0", suspended_at=AT)
    names = ("ben", "cid", "dora")
    others = [
        account(f"{name}@example.com", external_id=str(at)) for at, name in enumerate(names, 1)
    ]
    planner.add_entries(
        [
            (0, entry("eve@example.com", external_id="0"), by_hand),
            (1, entry("ann@example.com", external_id="1"), others[0]),
            (2, entry("ben@example.com", external_id="2"), others[1]),
            (3, entry("new@example.com", external_id="3"), others[2]),
        ]
    )
    planner.end_entries()
    plan = planner.plan(4)
    assert [step.email for step in plan.correct] == ["dora@example.com"]
    assert [(step.email, step.reason) for step in plan.left[1:]] == [
        ("ben@example.com", "'ann@example.com' is the email of an account that stays"),
        ("cid@example.com", "'ben@example.com' is the email of an account that stays"),
    ]


ONLY_IN_FILE = "it is suspended in the file, but a sync suspends only users who are missing there"


def test_who_is_suspended_in_the_file_is_neither_created_nor_restored_and_is_named() -> None:
    suspended = account("b@x.org", suspended_at=AT, suspended_by_sync=True)
    world = World.of([suspended, account("c@x.org")])
    entries = [entry(f"{name}@x.org", suspended=True, lastname="Doe") for name in "abc"]
    plan = world.plan(entries, SyncOptions(restore=True))

    assert [step.email for step in plan.correct] == ["c@x.org"]
    assert plan.steps == 1
    assert [(step.email, step.reason) for step in plan.left] == [
        ("a@x.org", "no account has this email, and the file says that it is suspended"),
        ("b@x.org", "it is suspended, and the file says so too"),
        ("c@x.org", ONLY_IN_FILE),
    ]


def test_an_account_in_a_question_is_left_also_if_another_entry_is_surely_its_person() -> None:
    ann, bea = account("ann@example.com"), account("bea@example.com", name="Bea")
    planner = Planner(ALL)
    planner.add_entries([(0, entry("bea.roe@example.com", name="Bea", lastname="Roe"), bea)])
    in_wrong_row = entry("bea@example.com", name="Bea")
    planner.add_conflicts({1: (in_wrong_row, Conflict((ann, bea), "the number is of another"))})
    planner.end_entries()
    plan = planner.plan(2)
    assert (plan.steps, len(plan.questions)) == (0, 1)
    assert "there is a question about this account" in plan.left[0].reason


def test_nobody_is_suspended_who_may_be_the_person_of_a_row_without_its_letters() -> None:
    world = World.of([account("old@x.org", name="Łukasz", lastname="Nowak"), account("b@x.org")])
    rows = [entry("new@x.org", name="?ukasz", lastname="Nowak")]
    plan = world.plan(rows, ALL)
    assert [one.kind for one in plan.questions] == ["lost_letters"]
    assert [step.email for step in plan.suspend] == ["b@x.org"]
    assert "a row with this name is in question" in plan.left[0].reason


def test_an_account_without_its_letters_may_be_the_person_of_a_new_row() -> None:
    world = World.of([account("old@x.org", name="?ukasz", lastname="N?wak")])
    plan = world.plan([entry("new@x.org", name="Łukasz", lastname="Nowak")], ALL)
    assert (plan.steps, [one.kind for one in plan.questions]) == (0, ["look_alike"])


@pytest.mark.parametrize("answer", [None, "differ"])
def test_nobody_is_suspended_who_has_the_name_of_a_row_with_the_number_of_another(
    answer: str | None,
) -> None:
    ann = account("ann@x.org", external_id="7")
    bob = account("bob.old@x.org", name="Bob", lastname="Roe", external_id="5")
    rows = [(0, entry("bob.new@x.org", name="Bob", lastname="Roe", external_id="7"), ann)]

    def plan_of(options: SyncOptions) -> SyncPlan:
        planner = Planner(options)
        planner.add_entries(rows)
        planner.end_entries()
        planner.add_missing(bob)
        return planner.plan(2)

    plan = plan_of(ALL)
    (question,) = plan.questions
    if answer:
        plan = plan_of(structs.replace(ALL, answers={question.change: answer}))
    assert bob.email not in {step.email for step in plan.suspend}


def test_corrections_alone_ask_nothing_about_rows_without_accounts() -> None:
    options = SyncOptions(create=False, suspend_missing=False)
    plan = World.of([]).plan([entry("new@x.org", name="?ukasz")], options)
    assert (plan.questions, plan.steps) == ([], 0)


def test_an_account_that_would_get_a_kept_email_is_not_restored_with_its_former_one() -> None:
    by_hand = account("ann@x.org", external_id="0", suspended_at=AT)
    back = account(
        "bea@x.org", name="Bea", external_id="1", suspended_at=AT, suspended_by_sync=True
    )
    rows = [
        (0, entry("new@x.org", external_id="0"), by_hand),
        (1, entry("ann@x.org", name="Bea", external_id="1"), back),
    ]

    def plan_of(options: SyncOptions) -> SyncPlan:
        planner = Planner(options)
        planner.add_entries(rows)
        planner.end_entries()
        return planner.plan(0)

    (question,) = plan_of(ALL).questions
    plan = plan_of(structs.replace(ALL, answers={question.change: "same"}))
    assert (plan.questions, plan.steps) == ([], 0)


def test_an_email_that_no_correction_frees_stays_with_its_account() -> None:
    ann = account("ann@x.org", external_id="1")
    planner = Planner(SyncOptions(correct=False, suspend_missing=False))
    planner.add_entries(
        [
            (0, entry("ann.roe@x.org", external_id="1"), ann),
            (1, entry("ann@x.org", name="Bob", external_id="2"), None),
        ]
    )
    planner.end_entries()
    (blocked,) = planner.plan(1).blocked
    assert blocked.reason == "'ann@x.org' is the email of an account that stays"


def test_20_000_names_without_letters_are_not_compared_with_all_names() -> None:
    people = range(20_000)  # with all it takes minutes
    world = World.of(
        account(f"{at}@x.org", name=f"{chr(97 + at % 26)}Łuk", lastname=f"R{at}") for at in people
    )
    rows = [
        entry(f"n{at}@x.org", name=f"{chr(97 + at % 26)}?uk", lastname=f"S{at}") for at in people
    ]
    assert len(world.plan(rows, ALL).suspend) == 20_000
