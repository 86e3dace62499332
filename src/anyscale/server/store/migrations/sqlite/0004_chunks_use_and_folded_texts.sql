-- The letters "must", by which `file` and SQLite's tools tell whose database this is.
pragma application_id = 0x6d757374;

-- SQLite cannot change a check: the table is made anew, as section 7 of
-- https://www.sqlite.org/lang_altertable.html describes. `batches` has a row for each batch, and the
-- view would refer to nothing meanwhile.
drop view live_users;

create table new_batches (
    id integer primary key,
    batch_id text not null unique,
    idempotency_key text not null,
    state text not null
        check (state in ('open', 'published', 'dropped', 'expired', 'undoing', 'undone')),
    if_exists text not null check (if_exists in ('fail', 'skip')),
    opened_by text not null,
    opened_at integer not null,
    touched_at integer not null,
    published_by text,
    published_at integer
);

insert into new_batches (id, batch_id, idempotency_key, state, if_exists, opened_by, opened_at,
    touched_at, published_by, published_at)
    select id, batch_id, idempotency_key, state, if_exists, opened_by, opened_at,
    touched_at, published_by, published_at from batches;

drop table batches;

alter table new_batches rename to batches;

-- A key belongs to its batch until the batch is dropped or expires, also after the batch is undone.
create unique index batches_live_key on batches (idempotency_key)
    where state not in ('dropped', 'expired');

create index batches_open on batches (touched_at) where state = 'open';

-- A page is a page of a listing; a slice of a batch is a chunk.
alter table pages rename to chunks;

alter table conflicts rename column page to chunk;

alter table sessions rename column way to auth_method;

alter table sessions rename column agent to user_agent;

-- When the account was first used: by a sign-in, a change of its password or role, or a new token.
alter table users add column used_at integer;

-- What searches compare: casefolded by Python, which is the same for every database. The email is
-- null here if it is ASCII, since its key is the same then. `folded_texts.py` fills both columns.
alter table users add column name_folded text not null default '';

alter table users add column email_folded text;

-- All that is left of earlier use.
update users set used_at = first.at from (
    select user_id, min(at) as at from (
        select user_id, password_set_at as at from users where password_set_at is not null
        union all select user_id, created_at from sessions
        union all select user_id, used_at from devices
        union all select user_id, linked_at from identities
        union all select user_id, created_at from tokens where user_id is not null
        union all select substr(actor, 6), at from audit where substr(actor, 1, 9) = 'user:usr_'
        union all select subject, at from audit where event = 'account.role_set'
        union all select users.user_id, published_at
            from users join batches on batches.id = users.batch where permission_level = 'owner'
    ) group by user_id
) as first where first.user_id = users.user_id;

create view live_users as
    select users.*, batches.batch_id, batches.published_at as created_at
    from users join batches on batches.id = users.batch
    where batches.published_at is not null;
