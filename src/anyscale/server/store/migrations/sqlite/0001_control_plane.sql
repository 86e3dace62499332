-- Times are whole milliseconds since 1970, UTC, by the clock of the machine.

-- The letters "must", by which `file` and SQLite's tools recognize the database.
pragma application_id = 0x6d757374;

-- One row: the number of the last step that was run, and the SHA-256 of the first step. A version of
-- musterroll with another first step does not open the database.
create table schema_version (
    id integer primary key check (id = 1),
    version integer not null,
    checksum text not null
);

insert into schema_version (id, version, checksum) values (1, 0, '');

create table batches (
    id integer primary key,
    batch_id text not null unique,
    -- the number of the batch in the order of publishing, from 1; null until it is published
    publication integer unique,
    idempotency_key text not null,
    state text not null,
    if_exists text not null,
    -- `batch`, or `account` if it has one account that was created by itself: lists leave that out
    origin text not null,
    -- how people recognize it: by default the name of its file
    label text,
    opened_by text not null,
    opened_at integer not null,
    touched_at integer not null,
    published_by text,
    published_at integer,
    -- the position of the last user that an undo has looked at, and all users before; -1 without one
    undone_position integer not null default -1
);

-- A key belongs to its batch until the batch is dropped or expires, also after the batch is undone.
create unique index batches_live_key on batches (idempotency_key)
    where state not in ('dropped', 'expired');

create index batches_open on batches (touched_at) where state = 'open';

-- Those that a client has to finish: few among all batches.
create index batches_unfinished on batches (batch_id) where state in ('open', 'undoing');

-- The chunks that were reserved. A chunk that the client sends again is recognized by its digest, and
-- publishing adds the numbers up instead of counting users.
create table chunks (
    batch integer not null references batches (id),
    number integer not null,
    digest blob not null,
    user_root blob not null,
    users integer not null,
    skipped integer not null,
    conflicts integer not null,
    -- its users with a password that is not hashed yet: counting them takes seconds for a million
    hashes_due integer not null,
    -- its users with a password; of the others those who were suspended when the batch was created, and
    -- the SSO users who were not
    passwords integer not null,
    suspended integer not null,
    sso_users integer not null,
    primary key (batch, number)
) without rowid;

-- The entries of a batch whose email or external id is taken: by an account, by an earlier entry of the
-- batch (`other` is its position), or by another open batch (`holder` is its id).
create table conflicts (
    batch integer not null references batches (id),
    position integer not null,
    chunk integer not null,
    -- both are empty after the account with the email was deleted
    email text not null,
    email_key text not null,
    kind text not null,
    other integer,
    holder text,
    -- null if it is the email that is taken
    external_id text,
    primary key (batch, position)
) without rowid;

create index conflicts_email on conflicts (email_key) where email_key <> '';

create index conflicts_external_id on conflicts (external_id) where external_id is not null;

-- Also has the rows of open batches, which reserve their emails: the accounts are in `live_users`.
create table users (
    user_id text not null primary key,
    batch integer not null references batches (id),
    email_key text not null unique,
    email text not null,
    name text not null,
    lastname text,
    title text,
    -- a personnel number, or what else stays with the person
    external_id text,
    -- the `sub` that applications know, of an account that was imported from an export of users; null if
    -- it is the `user_id`
    subject text,
    is_sso_user integer not null,
    permission_level text not null default 'collaborator',
    -- What searches compare: folded by Python, which is the same for every database. If an email
    -- or a last name is ASCII, its column is null, since the key or `lower` gives the same.
    name_folded text not null,
    email_folded text,
    lastname_folded text,
    password_hash text,
    -- whether the row has a password that is not hashed yet
    hash_due integer not null,
    -- when the user chose the password; null while it is the initial one
    password_set_at integer,
    -- of a hash that another system has made: about how many milliseconds it takes to verify it
    imported_ms integer,
    suspended_at integer,
    -- whether a sync suspended it, which another one may take back, and nobody manually since then
    suspended_by_sync integer not null default 0,
    -- the key of the form that suspended or restored it last together with others, which undoes that; null
    -- if its state was changed alone since
    suspension_key text,
    -- when the account was first used: by a sign-in, a change of its password or role, or a new token
    used_at integer,
    -- The beginning of the day (UTC) of the last sign-in, which is written once a day; null before the first.
    last_sign_in integer
);

-- Only of those that have one: the other users cost nothing.
create unique index users_external_id on users (external_id) where external_id is not null;

create unique index users_subject on users (subject) where subject is not null;

create index users_hash_due on users (batch, user_id) where hash_due = 1;

-- There are few, and a transaction that may remove the last one locks them all.
create index users_owners on users (user_id) where permission_level = 'owner';

create index users_suspended on users (user_id) where suspended_at is not null;

create index users_suspension_key on users (suspension_key) where suspension_key is not null;

-- Accounts whose hash another system has made, until their users sign in: how many, and the cost.
create index users_imported on users (imported_ms) where imported_ms is not null;

create index users_sso on users (user_id) where is_sso_user = 1;

-- Accounts without credentials. Without an identity provider, SSO users without a password are such
-- accounts too, and are found by `users_sso`: so each new row is in one of the two indexes.
-- `store/sql/sign_in_methods.py` has both conditions, and changes with these indexes.
create index users_without_password on users (user_id)
    where password_hash is null and suspended_at is null and is_sso_user = 0;

create view live_users as
    select users.*, batches.batch_id, batches.published_at as created_at, batches.publication
    from users join batches on batches.id = users.batch
    where batches.published_at is not null;

-- The emails that accounts had before. A search finds the account by them, and for a while no other
-- account gets them. An email that is the account's own again is not here. Those of a deleted account
-- have no user_id, and are deleted after that while.
create table former_emails (
    email_key text not null,
    user_id text not null,
    freed_at integer not null,
    primary key (email_key, user_id)
) without rowid;

create index former_emails_user on former_emails (user_id);

create index former_emails_freed on former_emails (freed_at);

-- Signed-in browsers. A row is deleted when the session is revoked or expires.
create table sessions (
    session_id text not null primary key,
    user_id text not null,
    hash blob not null unique,
    auth_method text not null,
    address text not null,
    user_agent text not null,
    -- when the user proved to be present; null if the identity provider did not say it
    authenticated_at integer,
    created_at integer not null,
    used_at integer not null,
    expires_at integer not null,
    -- what the user showed: values of the claim `amr` (RFC 8176), separated by blanks
    methods text not null,
    -- from when on the user has to add a second factor before anything else; null if none is due
    factor_due_at integer
);

create index sessions_user on sessions (user_id);

-- Sign-ins whose user has shown the first factor, and has a second one. A row lasts ten minutes.
create table half_sign_ins (
    hash blob not null primary key,
    user_id text not null,
    -- the session whose user signs in again; empty if the sign-in creates a session
    session_id text not null,
    auth_method text not null,
    methods text not null,
    authenticated_at integer,
    -- where the user continues: a path of ours
    path text not null,
    created_at integer not null
) without rowid;

create index half_sign_ins_user on half_sign_ins (user_id);

create index half_sign_ins_created on half_sign_ins (created_at);

-- Second factors. An app has a seed, and a passkey a public key.
create table factors (
    factor_id text not null primary key,
    user_id text not null,
    -- `totp` or `passkey`
    kind text not null,
    name text not null,
    created_at integer not null,
    -- when its first code was shown; null until then, and it does not count
    confirmed_at integer,
    -- of the session that has begun to add it; null from its first code on
    session_id text,
    used_at integer,
    -- encrypted by a key outside the database
    seed text,
    -- the time step of the newest code that was accepted (RFC 6238, 5.2)
    last_step integer,
    credential_id blob unique,
    public_key blob,
    -- how often the authenticator has signed, as it says itself; those that do not count say 0
    counter integer,
    can_be_backed_up integer,
    transports text,
    -- the host name for which the passkey was created, and works
    rp_id text
) without rowid;

create index factors_user on factors (user_id);

create table recovery_codes (
    hash blob not null primary key,
    user_id text not null
) without rowid;

create index recovery_codes_user on recovery_codes (user_id);

-- Challenges that a passkey has signed: none works twice.
create table used_challenges (
    hash blob not null primary key,
    expires_at integer not null
) without rowid;

create index used_challenges_expires on used_challenges (expires_at);

-- What an account without a second factor has to do, and how often codes were wrong.
create table factor_states (
    user_id text not null primary key,
    -- when the account first signed in while a second factor was required of it; null before
    required_since integer,
    -- wrong codes since the last right one
    failures integer not null,
    -- when the current time span of wrong codes began, and how many it has
    window_at integer not null,
    window_failures integer not null
) without rowid;

-- Browsers that have signed in before: the wrong passwords of strangers do not lock them out.
create table devices (
    hash blob not null,
    user_id text not null,
    used_at integer not null,
    primary key (hash, user_id)
) without rowid;

create index devices_user on devices (user_id);

create index devices_used on devices (used_at);

-- One-time links with which users set their passwords: of each account and kind the newest one that was
-- delivered, and those of mails that the relay has not accepted yet.
create table links (
    hash blob not null primary key,
    user_id text not null,
    created_by text not null,
    created_at integer not null,
    expires_at integer not null,
    -- `admin`: an administrator created it. One that a user requests is of another kind, and does not
    -- replace it.
    kind text not null,
    -- the mail and the attempt to send it, until the relay has accepted it; else empty
    mail text not null,
    unique (user_id, kind, mail)
) without rowid;

-- Mails that are due or have failed. None has a secret: the sender creates the one of a link when it
-- sends the mail. A mail that was sent is deleted.
create table outbox (
    mail_id text not null primary key,
    kind text not null,
    user_id text not null,
    -- empty for the email that the account has when the mail is sent
    address text not null,
    -- empty for a mail that was requested by itself
    mailing_id text not null,
    -- 0: the first attempt of a mail to a user who forgot the password, which has a share of the rate
    -- to itself; 1: a mail by itself; 2: one of many, which comes after
    rank integer not null,
    requested_by text not null,
    created_at integer not null,
    -- when it may be sent; of one that is being sent, when another server takes it up
    next_at integer not null,
    -- `due` or `failed`
    state text not null,
    attempts integer not null,
    last_error text,
    unique (user_id, kind, address)
) without rowid;

create index outbox_due on outbox (rank, next_at) where state = 'due';

create index outbox_created on outbox (state, created_at);

create index outbox_mailing on outbox (mailing_id) where mailing_id <> '';

create index outbox_requested_by on outbox (requested_by);

-- Mails to many accounts: one row, from which the sender creates some hundred mails at a time.
create table mailings (
    mailing_id text not null primary key,
    -- whose accounts get a mail; empty for all accounts without credentials
    batch_id text not null,
    kind text not null,
    -- `open` while mails are still created, `created`, or `stopped`
    state text not null,
    -- the `user_id` of the last account that it has come to
    position text not null,
    -- how many accounts were to get a mail when it was requested
    total integer not null,
    -- how many of its mails were created, sent, and refused
    created integer not null,
    sent integer not null,
    failed integer not null,
    requested_by text not null,
    created_at integer not null,
    -- when mails of it were last created
    touched_at integer not null
) without rowid;

create index mailings_open on mailings (mailing_id) where state = 'open';

create index mailings_batch on mailings (batch_id);

-- The shares of the rate, each of which all servers lock to take a mail: when it allows the next one.
-- 1 is for all mails but those to users who forgot their password, which have 2.
create table mail_rate (
    id integer primary key check (id in (1, 2)),
    free_at integer not null
);

insert into mail_rate (id, free_at) values (1, 0), (2, 0);

-- The syncs of the console: files of all users, and how far the accounts are brought up to date.
create table syncs (
    sync_id text not null primary key,
    -- of the form that started it, which may arrive twice
    form_key text not null unique,
    file_name text not null,
    started_by text not null,
    started_at integer not null,
    -- when its progress was last stored
    touched_at integer not null,
    -- `running`, `done`, or `stopped` before its end
    state text not null,
    -- how many accounts its plan changes, and how many it has changed
    total integer not null,
    created integer not null,
    corrected integer not null,
    suspended integer not null,
    restored integer not null,
    -- of the corrected ones: those that have neither SSO nor a password since
    locked_out integer not null,
    -- those that stayed as they are, since they had changed after the plan
    unchanged integer not null,
    -- of the created accounts
    batch_id text
) without rowid;

-- Answers of administrators to the questions of syncs, as hashes: each holds for one change.
create table sync_answers (
    -- of the words of the answer
    words text not null primary key,
    -- of the account, its former values and the new ones
    change text not null,
    answered_at integer not null
) without rowid;

-- Requests of people who forgot their password, whether they have an account or not. Requests stay for a
-- day, because they are counted.
create table password_resets (
    reset_id text not null primary key,
    -- as it was typed; null once the account was looked up
    email text,
    -- an HMAC of the key of the email
    email_hash blob not null,
    -- networks of the client
    subscriber text not null,
    site text not null,
    created_at integer not null,
    -- when the account is looked up, whether there is one or not
    due_at integer not null
) without rowid;

create index password_resets_waiting on password_resets (due_at) where email is not null;

create index password_resets_due on password_resets (due_at);

create index password_resets_email on password_resets (email_hash, created_at);

create index password_resets_subscriber on password_resets (subscriber, created_at);

create index password_resets_site on password_resets (site, created_at);

create index password_resets_created on password_resets (created_at);

-- The subjects by which identity providers name our users.
create table identities (
    issuer text not null,
    subject text not null,
    user_id text not null,
    linked_at integer not null,
    primary key (issuer, subject),
    unique (user_id, issuer)
) without rowid;

-- A personal token has a user, and the role that the user has when it is used.
create table tokens (
    token_id text not null primary key,
    user_id text,
    name text not null,
    role text not null,
    hash blob not null unique,
    created_by text not null,
    created_at integer not null,
    expires_at integer,
    used_at integer,
    revoked_by text,
    revoked_at integer,
    -- of the form that created it, which may arrive twice
    form_key text unique
);

create unique index tokens_name on tokens (coalesce(user_id, ''), name) where revoked_at is null;

create index tokens_user on tokens (user_id) where user_id is not null;

-- Random keys that all servers of the database share, by what they are for.
create table server_keys (
    name text not null primary key,
    key blob not null
) without rowid;

create table audit (
    number integer primary key,
    at integer not null,
    actor text not null,
    event text not null,
    subject text not null,
    data text not null,
    hash blob not null
);

-- The numbers of a period.
create index audit_at on audit (at, number);

-- A filter of the audit log is exact, and lists the newest first.
create index audit_actor on audit (actor, number);

create index audit_event on audit (event, number);

create index audit_subject on audit (subject, number) where subject <> '';

-- Two of them may each have a million entries, and hardly any in common.
create index audit_actor_event on audit (actor, event, number);

create index audit_subject_actor on audit (subject, actor, number) where subject <> '';

create index audit_subject_event on audit (subject, event, number) where subject <> '';

-- Programs that sign our users in by OpenID Connect. The lists are JSON.
create table applications (
    client_id text not null primary key,
    name text not null unique,
    -- null for a public application, which has no secret
    secret_hash blob,
    -- after a rotation, each former secret works for a while: a JSON list
    former_secrets text not null,
    -- when `secret_hash` was set; null without one
    secret_set_at integer,
    redirect_uris text not null,
    post_logout_redirect_uris text not null,
    refresh_tokens integer not null,
    requires_pkce integer not null,
    requires_second_factor integer not null,
    -- whose users it signs in: `owners`, domains, ids of batches; all users if the list is empty
    audience text not null,
    -- where users open it; null without one
    address text,
    created_by text not null,
    created_at integer not null,
    -- when a user last signed in there, to the minute
    used_at integer,
    -- of the form that created it, which may arrive twice
    form_key text unique
);

-- The sign-ins of users at applications: each row has a code, and the tokens that replaced it.
create table grants (
    grant_id text not null primary key,
    client_id text not null,
    user_id text not null,
    session_id text not null,
    scope text not null,
    redirect_uri text not null,
    nonce text,
    code_challenge text,
    authenticated_at integer,
    -- of the session, when it granted this
    methods text not null,
    created_at integer not null,
    expires_at integer not null,
    code_hash blob not null unique,
    code_expires_at integer not null,
    code_used integer not null,
    access_hash blob unique,
    access_scope text,
    access_expires_at integer,
    -- of the part that all refresh tokens of the grant have in common: one that was used before still
    -- finds the grant, and ends it
    family_hash blob unique,
    refresh_hash blob,
    refresh_expires_at integer
);

create index grants_user on grants (user_id);

create index grants_session on grants (session_id, client_id);

create index grants_client on grants (client_id, user_id);

create index grants_expiry on grants (expires_at);

-- The public parts of the keys that sign ID tokens. Their private parts are files of the servers.
create table public_keys (
    kid text not null primary key,
    jwk text not null,
    signs_from integer not null,
    -- when it was replaced because it may be stolen
    revoked_at integer
);

-- The index of words: the words of the accounts' names, last names and emails. The publication of the
-- batch and the position in it stand for the `user_id`, in a fifth of its size. The kinds: 0 begins the
-- name or the last name, 1 is another word of them, 2 is only in the email.
create table user_words (
    kind integer not null,
    word text not null,
    publication integer not null,
    position integer not null,
    primary key (kind, word, publication, position)
) without rowid;

-- One row: how far the index of words is filled, in the order of publication and position. All
-- accounts up to the watermark (`publication`, `position`) have their words. The index is filled in
-- segments, whose words are written in the order of the table: the accounts after the watermark up to
-- (`end_publication`, `end_position`) may have some of their words, and the others have none.
-- The process `holder` fills the index, and no other one does so before the time `until`.
create table search_index (
    id integer primary key check (id = 1),
    publication integer not null,
    position integer not null,
    end_publication integer not null,
    end_position integer not null,
    holder text not null,
    until integer not null
);

insert into search_index (id, publication, position, end_publication, end_position, holder, until)
    values (1, 0, 0, 0, 0, '', 0);
