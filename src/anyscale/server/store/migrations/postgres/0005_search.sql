-- The place of a batch in the order of publishing, from 1; null until it is published.
alter table batches add column publication bigint;

update batches set publication = ranked.number from (
    select id, row_number() over (order by published_at, id) as number
        from batches where published_at is not null
) as ranked where ranked.id = batches.id;

create unique index batches_publication on batches (publication);

drop view live_users;

-- The last name casefolded; null if it is ASCII, where `lower` gives the same.
-- `folded_lastnames.py` fills it.
alter table users add column lastname_folded text collate "C";

create index users_suspended on users (user_id) where suspended_at is not null;

create index users_sso on users (user_id) where is_sso_user;

-- Without an identity provider, SSO users without a password have no way to sign in either: those are
-- found by `users_sso`. So each new row is in one of the two indexes.
create index users_without_password on users (user_id)
    where password_hash is null and suspended_at is null and not is_sso_user;

create view live_users as
    select users.*, live.*
    from users cross join lateral (
        select batch_id, published_at as created_at, publication from batches
        where batches.id = users.batch and published_at is not null offset 0
    ) as live;

-- The words of the accounts' names, last names and emails. The publication of the batch and the
-- position in it stand for the `user_id`, in a fifth of its size.
create table user_words (
    publication bigint not null,
    position bigint not null,
    is_leading boolean not null,
    word text collate "C" not null,
    primary key (is_leading, word, publication, position)
);

-- One row. In the order of publication and position, all accounts up to this watermark have their
-- words, and no others. `holder` fills the index until a time.
create table search_index (
    id integer primary key check (id = 1),
    publication bigint not null,
    position bigint not null,
    holder text collate "C" not null,
    until bigint not null
);

insert into search_index (id, publication, position, holder, until)
    values (1, 0, 0, '', 0);
