-- When the member chose the password; null while it is the one that an administrator gave.
alter table users add column password_set_at bigint;

alter table users add column suspended_at bigint;

-- A view has the columns that its table had when it was made.
drop view live_users;

create view live_users as
    select users.*, live.*
    from users cross join lateral (
        select batch_id, published_at as created_at from batches
        where batches.id = users.batch and state = 'published' offset 0
    ) as live;

-- Few, and held when one of them is about to go.
create index users_owners on users (user_id) where permission_level = 'owner';

-- Signed-in browsers. What is kept of one goes when it ends.
create table sessions (
    session_id text collate "C" not null primary key,
    user_id text collate "C" not null,
    hash bytea not null unique,
    way text collate "C" not null check (way in ('password', 'link', 'sso')),
    address text collate "C" not null,
    agent text collate "C" not null,
    created_at bigint not null,
    used_at bigint not null,
    expires_at bigint not null
);

create index sessions_user on sessions (user_id);

-- Browsers that have signed in before: what strangers try does not keep them out.
create table devices (
    hash bytea not null,
    user_id text collate "C" not null,
    used_at bigint not null,
    primary key (hash, user_id)
);

create index devices_user on devices (user_id);

create index devices_used on devices (used_at);

-- One-time links by which a password is set: the newest of each account.
create table links (
    user_id text collate "C" not null primary key,
    hash bytea not null unique,
    created_by text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null
);

-- Whom an identity provider knows by which subject.
create table identities (
    issuer text collate "C" not null,
    subject text collate "C" not null,
    user_id text collate "C" not null,
    linked_at bigint not null,
    primary key (issuer, subject),
    unique (user_id, issuer)
);

-- A person's own tokens have that person's role, whatever it is at the time.
alter table tokens add column user_id text collate "C";

drop index tokens_name;

create unique index tokens_name on tokens (coalesce(user_id, ''), name) where revoked_at is null;

create index tokens_user on tokens (user_id) where user_id is not null;
