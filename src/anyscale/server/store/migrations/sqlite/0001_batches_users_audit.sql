-- Times are whole milliseconds since 1970, UTC, by the database's clock.

create table batches (
    id integer primary key,
    batch_id text not null unique,
    idempotency_key text not null,
    state text not null check (state in ('open', 'published', 'dropped', 'expired')),
    if_exists text not null check (if_exists in ('fail', 'skip')),
    opened_by text not null,
    opened_at integer not null,
    touched_at integer not null,
    published_by text,
    published_at integer
);

-- A key belongs to the batch that is open or published with it; dropping the batch frees it.
create unique index batches_live_key on batches (idempotency_key)
    where state in ('open', 'published');

create index batches_open on batches (touched_at) where state = 'open';

-- What a page of reservations left: enough to answer it a second time, and to publish without counting.
create table pages (
    batch integer not null references batches (id),
    number integer not null,
    digest blob not null,
    user_root blob not null,
    users integer not null,
    skipped integer not null,
    conflicts integer not null,
    primary key (batch, number)
) without rowid;

create table conflicts (
    batch integer not null references batches (id),
    position integer not null,
    page integer not null,
    email text not null,
    kind text not null check (kind in ('exists', 'duplicate', 'reserved')),
    other integer,
    holder text,
    primary key (batch, position)
) without rowid;

-- Rows of open batches stand here too: ask `live_users` for the accounts.
create table users (
    user_id text not null primary key,
    batch integer not null references batches (id),
    email_key text not null unique,
    name text not null,
    email text not null,
    lastname text,
    title text,
    is_sso_user integer not null,
    permission_level text not null default 'collaborator'
        check (permission_level in ('collaborator', 'owner')),
    password_hash text,
    hash_due integer not null
);

create index users_hash_due on users (batch, user_id) where hash_due = 1;

create view live_users as
    select users.*, batches.batch_id, batches.published_at as created_at
    from users join batches on batches.id = users.batch
    where batches.state = 'published';

create table audit (
    number integer primary key,
    at integer not null,
    actor text not null,
    event text not null,
    subject text not null,
    data text not null,
    hash blob not null
);
