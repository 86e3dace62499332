-- The place of a batch in the order of publishing, from 1; null until it is published.
alter table batches add column publication integer;

update batches set publication = ranked.number from (
    select id, row_number() over (order by published_at, id) as number
        from batches where published_at is not null
) as ranked where ranked.id = batches.id;

create unique index batches_publication on batches (publication);

drop view live_users;

-- The last name casefolded; null if it is ASCII, where `lower` gives the same.
-- `folded_lastnames.py` fills it.
alter table users add column lastname_folded text;

create index users_suspended on users (user_id) where suspended_at is not null;

create index users_sso on users (user_id) where is_sso_user = 1;

-- Without an identity provider, SSO users without a password have no way to sign in either: those are
-- found by `users_sso`. So each new row is in one of the two indexes.
create index users_without_password on users (user_id)
    where password_hash is null and suspended_at is null and is_sso_user = 0;

create view live_users as
    select users.*, batches.batch_id, batches.published_at as created_at, batches.publication
    from users join batches on batches.id = users.batch
    where batches.published_at is not null;

-- The words of the accounts' names, last names and emails. The publication of the batch and the
-- position in it stand for the `user_id`, in a fifth of its size.
create table user_words (
    is_leading integer not null,
    word text not null,
    publication integer not null,
    position integer not null,
    primary key (is_leading, word, publication, position)
) without rowid;

-- One row. In the order of publication and position, all accounts up to this watermark have their
-- words, and no others. `holder` fills the index until a time.
create table search_index (
    id integer primary key check (id = 1),
    publication integer not null,
    position integer not null,
    holder text not null,
    until integer not null
);

insert into search_index (id, publication, position, holder, until)
    values (1, 0, 0, '', 0);
