create table tokens (
    token_id text collate "C" not null primary key,
    name text collate "C" not null,
    role text collate "C" not null check (role in ('owner', 'collaborator')),
    hash bytea not null unique,
    created_by text collate "C" not null,
    created_at bigint not null,
    expires_at bigint,
    used_at bigint,
    revoked_by text collate "C",
    revoked_at bigint
);

create unique index tokens_name on tokens (name) where revoked_at is null;
