-- Times are whole milliseconds since 1970, UTC, by the database's clock. Whatever is a key or is
-- compared is collated "C": bytes are compared in one order everywhere, and faster.

create table batches (
    id bigint generated always as identity primary key,
    batch_id text collate "C" not null unique,
    idempotency_key text collate "C" not null,
    state text collate "C" not null check (state in ('open', 'published', 'dropped', 'expired')),
    if_exists text collate "C" not null check (if_exists in ('fail', 'skip')),
    opened_by text collate "C" not null,
    opened_at bigint not null,
    touched_at bigint not null,
    published_by text collate "C",
    published_at bigint
);

-- A key belongs to the batch that is open or published with it; dropping the batch frees it.
create unique index batches_live_key on batches (idempotency_key)
    where state in ('open', 'published');

create index batches_open on batches (touched_at) where state = 'open';

-- What a page of reservations left: enough to answer it a second time, and to publish without counting.
create table pages (
    batch bigint not null references batches (id),
    number bigint not null,
    digest bytea not null,
    user_root bytea not null,
    users bigint not null,
    skipped bigint not null,
    conflicts bigint not null,
    primary key (batch, number)
);

create table conflicts (
    batch bigint not null references batches (id),
    position bigint not null,
    page bigint not null,
    email text collate "C" not null,
    kind text collate "C" not null check (kind in ('exists', 'duplicate', 'reserved')),
    other bigint,
    holder text collate "C",
    primary key (batch, position)
);

-- Rows of open batches stand here too: ask `live_users` for the accounts. `batch` is a batch's id, and
-- no foreign key: to check it costs a third of an insert, and when a batch is removed, without an
-- index for that alone, a look at every user. A batch is removed when it has no pages any more.
create table users (
    user_id text collate "C" not null primary key,
    batch bigint not null,
    email_key text collate "C" not null unique,
    name text collate "C" not null,
    email text collate "C" not null,
    lastname text collate "C",
    title text collate "C",
    is_sso_user boolean not null,
    permission_level text collate "C" not null default 'collaborator'
        check (permission_level in ('collaborator', 'owner')),
    password_hash text collate "C",
    hash_due boolean not null
);

create index users_hash_due on users (batch, user_id) where hash_due;

-- `offset 0` has the planner look a user's batch up, rather than guess how many users are live. Before
-- the first `analyze` after a large batch it guesses so few that it would sort them all for each page.
create view live_users as
    select users.*, live.*
    from users cross join lateral (
        select batch_id, published_at as created_at from batches
        where batches.id = users.batch and state = 'published' offset 0
    ) as live;

create table audit (
    number bigint primary key,
    at bigint not null,
    actor text collate "C" not null,
    event text collate "C" not null,
    subject text collate "C" not null,
    data text collate "C" not null,
    hash bytea not null
);

-- What Python's casefold gives, or the nearest to it that this PostgreSQL has. Not by the locale of
-- the database alone: in a database of locale C it would fold nothing but ASCII.
do $do$
declare
    known text;
    body text;
begin
    if to_regprocedure('pg_catalog.casefold(text)') is not null then
        body := 'casefold(value collate pg_unicode_fast)';
    else
        select quote_ident(collname) into known from pg_collation
            where collname in ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'en_US.utf8')
            and collencoding in (-1, pg_char_to_encoding('UTF8'))
            order by array_position(array['pg_c_utf8', 'und-x-icu', 'C.utf8'], collname::text)
            limit 1;
        body := format(
            $$replace(replace(lower(value collate %s), 'ß', 'ss'), 'ς', 'σ')$$,
            coalesce(known, '"default"')
        );
    end if;
    execute 'create function folded(value text) returns text'
        ' language sql immutable strict parallel safe return ' || body;
end
$do$;
