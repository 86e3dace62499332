create table tokens (
    token_id text not null primary key,
    name text not null,
    role text not null check (role in ('owner', 'collaborator')),
    hash blob not null unique,
    created_by text not null,
    created_at integer not null,
    expires_at integer,
    used_at integer,
    revoked_by text,
    revoked_at integer
);

create unique index tokens_name on tokens (name) where revoked_at is null;
