-- When the member chose the password; null while it is the one that an administrator gave.
alter table users add column password_set_at integer;

alter table users add column suspended_at integer;

-- Few, and held when one of them is about to go.
create index users_owners on users (user_id) where permission_level = 'owner';

-- Signed-in browsers. What is kept of one goes when it ends.
create table sessions (
    session_id text not null primary key,
    user_id text not null,
    hash blob not null unique,
    way text not null check (way in ('password', 'link', 'sso')),
    address text not null,
    agent text not null,
    created_at integer not null,
    used_at integer not null,
    expires_at integer not null
);

create index sessions_user on sessions (user_id);

-- Browsers that have signed in before: what strangers try does not keep them out.
create table devices (
    hash blob not null,
    user_id text not null,
    used_at integer not null,
    primary key (hash, user_id)
) without rowid;

create index devices_user on devices (user_id);

create index devices_used on devices (used_at);

-- One-time links by which a password is set: the newest of each account.
create table links (
    user_id text not null primary key,
    hash blob not null unique,
    created_by text not null,
    created_at integer not null,
    expires_at integer not null
) without rowid;

-- Whom an identity provider knows by which subject.
create table identities (
    issuer text not null,
    subject text not null,
    user_id text not null,
    linked_at integer not null,
    primary key (issuer, subject),
    unique (user_id, issuer)
) without rowid;

-- A person's own tokens have that person's role, whatever it is at the time.
alter table tokens add column user_id text;

drop index tokens_name;

create unique index tokens_name on tokens (coalesce(user_id, ''), name) where revoked_at is null;

create index tokens_user on tokens (user_id) where user_id is not null;
