alter table batches drop constraint batches_state_check;

alter table batches add constraint batches_state_check
    check (state in ('open', 'published', 'dropped', 'expired', 'undoing', 'undone'));

-- A key belongs to its batch until the batch is dropped or expires, also after the batch is undone.
drop index batches_live_key;

create unique index batches_live_key on batches (idempotency_key)
    where state not in ('dropped', 'expired');

-- A page is a page of a listing; a slice of a batch is a chunk.
alter table pages rename to chunks;

alter index pages_pkey rename to chunks_pkey;

alter table chunks rename constraint pages_batch_fkey to chunks_batch_fkey;

alter table conflicts rename column page to chunk;

alter table sessions rename column way to auth_method;

alter table sessions rename constraint sessions_way_check to sessions_auth_method_check;

alter table sessions rename column agent to user_agent;

drop view live_users;

-- When the account was first used: by a sign-in, a change of its password or role, or a new token.
alter table users add column used_at bigint;

-- What searches compare: casefolded by Python, which is the same for every database. The email is
-- null here if it is ASCII, since its key is the same then. `folded_texts.py` fills both columns.
alter table users add column name_folded text collate "C" not null default '';

alter table users add column email_folded text collate "C";

-- Right for ASCII, and `folded_texts.py` does the rest. This writes the table anew, which is faster
-- than updating each row, and leaves no dead rows.
alter table users alter column name_folded type text collate "C" using lower(name);

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
    ) as uses group by user_id
) as first where first.user_id = users.user_id;

drop function folded(text);

create view live_users as
    select users.*, live.*
    from users cross join lateral (
        select batch_id, published_at as created_at from batches
        where batches.id = users.batch and published_at is not null offset 0
    ) as live;
