-- Times are whole milliseconds since 1970, UTC, by the clock of the database. Every column that is a
-- key or is compared is collated "C": bytes have the same order on every server, and are compared
-- faster.

-- One row: the number of the last step that was run, and the SHA-256 of the first step. A version of
-- musterroll with another first step does not open the database.
create table schema_version (
    id integer primary key check (id = 1),
    version integer not null,
    checksum text collate "C" not null
);

insert into schema_version (id, version, checksum) values (1, 0, '');

create table batches (
    id bigint generated always as identity primary key,
    batch_id text collate "C" not null unique,
    -- the number of the batch in the order of publishing, from 1; null until it is published
    publication bigint unique,
    idempotency_key text collate "C" not null,
    state text collate "C" not null,
    if_exists text collate "C" not null,
    -- `batch`, or `account` if it has one account that was created by itself: lists leave that out
    origin text collate "C" not null,
    -- how people recognize it: by default the name of its file
    label text collate "C",
    opened_by text collate "C" not null,
    opened_at bigint not null,
    touched_at bigint not null,
    published_by text collate "C",
    published_at bigint,
    -- the position of the last user that an undo has looked at, and all users before; -1 without one
    undone_position bigint not null default -1
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
    batch bigint not null references batches (id),
    number bigint not null,
    digest bytea not null,
    user_root bytea not null,
    users bigint not null,
    skipped bigint not null,
    conflicts bigint not null,
    -- its users with a password that is not hashed yet: counting them takes seconds for a million
    hashes_due bigint not null,
    -- its users with a password; of the others those who were suspended when the batch was created, and
    -- the SSO users who were not
    passwords bigint not null,
    suspended bigint not null,
    sso_users bigint not null,
    primary key (batch, number)
);

-- The entries of a batch whose email or external id is taken: by an account, by an earlier entry of the
-- batch (`other` is its position), or by another open batch (`holder` is its id).
create table conflicts (
    batch bigint not null references batches (id),
    position bigint not null,
    chunk bigint not null,
    -- both are empty after the account with the email was deleted
    email text collate "C" not null,
    email_key text collate "C" not null,
    kind text collate "C" not null,
    other bigint,
    holder text collate "C",
    -- null if it is the email that is taken
    external_id text collate "C",
    primary key (batch, position)
);

create index conflicts_email on conflicts (email_key) where email_key <> '';

create index conflicts_external_id on conflicts (external_id) where external_id is not null;

-- Also has the rows of open batches, which reserve their emails: the accounts are in `live_users`.
-- `batch` is the id of a batch, but no foreign key, which takes a third of the time of an insert. And
-- removing a batch would read every user, without an index for that alone; a batch is removed when it
-- has no chunks.
create table users (
    user_id text collate "C" not null primary key,
    batch bigint not null,
    email_key text collate "C" not null unique,
    email text collate "C" not null,
    name text collate "C" not null,
    lastname text collate "C",
    title text collate "C",
    -- a personnel number, or what else stays with the person
    external_id text collate "C",
    -- the `sub` that applications know, of an account that was imported from an export of users; null if
    -- it is the `user_id`
    subject text collate "C",
    is_sso_user boolean not null,
    permission_level text collate "C" not null default 'collaborator',
    -- What searches compare: folded by Python, which is the same for every database. If an email
    -- or a last name is ASCII, its column is null, since the key or `lower` gives the same.
    name_folded text collate "C" not null,
    email_folded text collate "C",
    lastname_folded text collate "C",
    password_hash text collate "C",
    -- whether the row has a password that is not hashed yet
    hash_due boolean not null,
    -- when the user chose the password; null while it is the initial one
    password_set_at bigint,
    -- of a hash that another system has made: about how many milliseconds it takes to verify it
    imported_ms bigint,
    suspended_at bigint,
    -- whether a sync suspended it, which another one may take back, and nobody manually since then
    suspended_by_sync boolean not null default false,
    -- the key of the form that suspended or restored it last together with others, which undoes that; null
    -- if its state was changed alone since
    suspension_key text collate "C",
    -- when the account was first used: by a sign-in, a change of its password or role, or a new token
    used_at bigint,
    -- The beginning of the day (UTC) of the last sign-in, which is written once a day; null before the first.
    last_sign_in bigint
);

-- Only of those that have one: the other users cost nothing.
create unique index users_external_id on users (external_id) where external_id is not null;

create unique index users_subject on users (subject) where subject is not null;

create index users_hash_due on users (batch, user_id) where hash_due;

-- There are few, and a transaction that may remove the last one locks them all.
create index users_owners on users (user_id) where permission_level = 'owner';

create index users_suspended on users (user_id) where suspended_at is not null;

create index users_suspension_key on users (suspension_key) where suspension_key is not null;

-- Accounts whose hash another system has made, until their users sign in: how many, and the cost.
create index users_imported on users (imported_ms) where imported_ms is not null;

create index users_sso on users (user_id) where is_sso_user;

-- Accounts without credentials. Without an identity provider, SSO users without a password are such
-- accounts too, and are found by `users_sso`: so each new row is in one of the two indexes.
-- `store/sql/sign_in_methods.py` has both conditions, and changes with these indexes.
create index users_without_password on users (user_id)
    where password_hash is null and suspended_at is null and not is_sso_user;

-- `offset 0` makes the planner look up the batch of a user instead of guessing how many users are
-- live. Before the first `analyze` after a large batch it guesses so few that it would sort all users
-- for each page of a listing.
create view live_users as
    select users.*, live.*
    from users cross join lateral (
        select batch_id, published_at as created_at, publication from batches
        where batches.id = users.batch and published_at is not null offset 0
    ) as live;

-- The emails that accounts had before. A search finds the account by them, and for a while no other
-- account gets them. An email that is the account's own again is not here. Those of a deleted account
-- have no user_id, and are deleted after that while.
create table former_emails (
    email_key text collate "C" not null,
    user_id text collate "C" not null,
    freed_at bigint not null,
    primary key (email_key, user_id)
);

create index former_emails_user on former_emails (user_id);

create index former_emails_freed on former_emails (freed_at);

-- Signed-in browsers. A row is deleted when the session is revoked or expires.
create table sessions (
    session_id text collate "C" not null primary key,
    user_id text collate "C" not null,
    hash bytea not null unique,
    auth_method text collate "C" not null,
    address text collate "C" not null,
    user_agent text collate "C" not null,
    -- when the user proved to be present; null if the identity provider did not say it
    authenticated_at bigint,
    created_at bigint not null,
    used_at bigint not null,
    expires_at bigint not null,
    -- what the user showed: values of the claim `amr` (RFC 8176), separated by blanks
    methods text collate "C" not null,
    -- from when on the user has to add a second factor before anything else; null if none is due
    factor_due_at bigint
);

create index sessions_user on sessions (user_id);

-- Sign-ins whose user has shown the first factor, and has a second one. A row lasts ten minutes.
create table half_sign_ins (
    hash bytea not null primary key,
    user_id text collate "C" not null,
    -- the session whose user signs in again; empty if the sign-in creates a session
    session_id text collate "C" not null,
    auth_method text collate "C" not null,
    methods text collate "C" not null,
    authenticated_at bigint,
    -- where the user continues: a path of ours
    path text collate "C" not null,
    created_at bigint not null
);

create index half_sign_ins_user on half_sign_ins (user_id);

create index half_sign_ins_created on half_sign_ins (created_at);

-- Second factors. An app has a seed, and a passkey a public key.
create table factors (
    factor_id text collate "C" not null primary key,
    user_id text collate "C" not null,
    -- `totp` or `passkey`
    kind text collate "C" not null,
    name text collate "C" not null,
    created_at bigint not null,
    -- when its first code was shown; null until then, and it does not count
    confirmed_at bigint,
    -- of the session that has begun to add it; null from its first code on
    session_id text collate "C",
    used_at bigint,
    -- encrypted by a key outside the database
    seed text collate "C",
    -- the time step of the newest code that was accepted (RFC 6238, 5.2)
    last_step bigint,
    credential_id bytea unique,
    public_key bytea,
    -- how often the authenticator has signed, as it says itself; those that do not count say 0
    counter bigint,
    can_be_backed_up boolean,
    transports text collate "C",
    -- the host name for which the passkey was created, and works
    rp_id text collate "C"
);

create index factors_user on factors (user_id);

create table recovery_codes (
    hash bytea not null primary key,
    user_id text collate "C" not null
);

create index recovery_codes_user on recovery_codes (user_id);

-- Challenges that a passkey has signed: none works twice.
create table used_challenges (
    hash bytea not null primary key,
    expires_at bigint not null
);

create index used_challenges_expires on used_challenges (expires_at);

-- What an account without a second factor has to do, and how often codes were wrong.
create table factor_states (
    user_id text collate "C" not null primary key,
    -- when the account first signed in while a second factor was required of it; null before
    required_since bigint,
    -- wrong codes since the last right one
    failures integer not null,
    -- when the current time span of wrong codes began, and how many it has
    window_at bigint not null,
    window_failures integer not null
);

-- Browsers that have signed in before: the wrong passwords of strangers do not lock them out.
create table devices (
    hash bytea not null,
    user_id text collate "C" not null,
    used_at bigint not null,
    primary key (hash, user_id)
);

create index devices_user on devices (user_id);

create index devices_used on devices (used_at);

-- One-time links with which users set their passwords: of each account and kind the newest one that was
-- delivered, and those of mails that the relay has not accepted yet.
create table links (
    hash bytea not null primary key,
    user_id text collate "C" not null,
    created_by text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    -- `admin`: an administrator created it. One that a user requests is of another kind, and does not
    -- replace it.
    kind text collate "C" not null,
    -- the mail and the attempt to send it, until the relay has accepted it; else empty
    mail text collate "C" not null,
    unique (user_id, kind, mail)
);

-- Mails that are due or have failed. None has a secret: the sender creates the one of a link when it
-- sends the mail. A mail that was sent is deleted.
create table outbox (
    mail_id text collate "C" not null primary key,
    kind text collate "C" not null,
    user_id text collate "C" not null,
    -- empty for the email that the account has when the mail is sent
    address text collate "C" not null,
    -- empty for a mail that was requested by itself
    mailing_id text collate "C" not null,
    -- 0: the first attempt of a mail to a user who forgot the password, which has a share of the rate
    -- to itself; 1: a mail by itself; 2: one of many, which comes after
    rank integer not null,
    requested_by text collate "C" not null,
    created_at bigint not null,
    -- when it may be sent; of one that is being sent, when another server takes it up
    next_at bigint not null,
    -- `due` or `failed`
    state text collate "C" not null,
    attempts integer not null,
    last_error text collate "C",
    unique (user_id, kind, address)
);

create index outbox_due on outbox (rank, next_at) where state = 'due';

create index outbox_created on outbox (state, created_at);

create index outbox_mailing on outbox (mailing_id) where mailing_id <> '';

create index outbox_requested_by on outbox (requested_by);

-- Mails to many accounts: one row, from which the sender creates some hundred mails at a time.
create table mailings (
    mailing_id text collate "C" not null primary key,
    -- whose accounts get a mail; empty for all accounts without credentials
    batch_id text collate "C" not null,
    kind text collate "C" not null,
    -- `open` while mails are still created, `created`, or `stopped`
    state text collate "C" not null,
    -- the `user_id` of the last account that it has come to
    position text collate "C" not null,
    -- how many accounts were to get a mail when it was requested
    total bigint not null,
    -- how many of its mails were created, sent, and refused
    created bigint not null,
    sent bigint not null,
    failed bigint not null,
    requested_by text collate "C" not null,
    created_at bigint not null,
    -- when mails of it were last created
    touched_at bigint not null
);

create index mailings_open on mailings (mailing_id) where state = 'open';

create index mailings_batch on mailings (batch_id);

-- The shares of the rate, each of which all servers lock to take a mail: when it allows the next one.
-- 1 is for all mails but those to users who forgot their password, which have 2.
create table mail_rate (
    id integer primary key check (id in (1, 2)),
    free_at bigint not null
);

insert into mail_rate (id, free_at) values (1, 0), (2, 0);

-- The syncs of the console: files of all users, and how far the accounts are brought up to date.
create table syncs (
    sync_id text collate "C" not null primary key,
    -- of the form that started it, which may arrive twice
    form_key text collate "C" not null unique,
    file_name text collate "C" not null,
    started_by text collate "C" not null,
    started_at bigint not null,
    -- when its progress was last stored
    touched_at bigint not null,
    -- `running`, `done`, or `stopped` before its end
    state text collate "C" not null,
    -- how many accounts its plan changes, and how many it has changed
    total bigint not null,
    created bigint not null,
    corrected bigint not null,
    suspended bigint not null,
    restored bigint not null,
    -- of the corrected ones: those that have neither SSO nor a password since
    locked_out bigint not null,
    -- those that stayed as they are, since they had changed after the plan
    unchanged bigint not null,
    -- of the created accounts
    batch_id text collate "C"
);

-- Answers of administrators to the questions of syncs, as hashes: each holds for one change.
create table sync_answers (
    -- of the words of the answer
    words text collate "C" not null primary key,
    -- of the account, its former values and the new ones
    change text collate "C" not null,
    answered_at bigint not null
);

-- Requests of people who forgot their password, whether they have an account or not. Requests stay for a
-- day, because they are counted.
create table password_resets (
    reset_id text collate "C" not null primary key,
    -- as it was typed; null once the account was looked up
    email text collate "C",
    -- an HMAC of the key of the email
    email_hash bytea not null,
    -- networks of the client
    subscriber text collate "C" not null,
    site text collate "C" not null,
    created_at bigint not null,
    -- when the account is looked up, whether there is one or not
    due_at bigint not null
);

create index password_resets_waiting on password_resets (due_at) where email is not null;

create index password_resets_due on password_resets (due_at);

create index password_resets_email on password_resets (email_hash, created_at);

create index password_resets_subscriber on password_resets (subscriber, created_at);

create index password_resets_site on password_resets (site, created_at);

create index password_resets_created on password_resets (created_at);

-- The subjects by which identity providers name our users.
create table identities (
    issuer text collate "C" not null,
    subject text collate "C" not null,
    user_id text collate "C" not null,
    linked_at bigint not null,
    primary key (issuer, subject),
    unique (user_id, issuer)
);

-- A personal token has a user, and the role that the user has when it is used.
create table tokens (
    token_id text collate "C" not null primary key,
    user_id text collate "C",
    name text collate "C" not null,
    role text collate "C" not null,
    hash bytea not null unique,
    created_by text collate "C" not null,
    created_at bigint not null,
    expires_at bigint,
    used_at bigint,
    revoked_by text collate "C",
    revoked_at bigint,
    -- of the form that created it, which may arrive twice
    form_key text collate "C" unique
);

create unique index tokens_name on tokens (coalesce(user_id, ''), name) where revoked_at is null;

create index tokens_user on tokens (user_id) where user_id is not null;

-- Random keys that all servers of the database share, by what they are for.
create table server_keys (
    name text collate "C" not null primary key,
    key bytea not null
);

create table audit (
    number bigint primary key,
    at bigint not null,
    actor text collate "C" not null,
    event text collate "C" not null,
    subject text collate "C" not null,
    data text collate "C" not null,
    hash bytea not null
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
    client_id text collate "C" not null primary key,
    name text collate "C" not null unique,
    -- null for a public application, which has no secret
    secret_hash bytea,
    -- after a rotation, each former secret works for a while: a JSON list
    former_secrets text collate "C" not null,
    -- when `secret_hash` was set; null without one
    secret_set_at bigint,
    redirect_uris text collate "C" not null,
    post_logout_redirect_uris text collate "C" not null,
    refresh_tokens boolean not null,
    requires_pkce boolean not null,
    requires_second_factor boolean not null,
    -- whose users it signs in: `owners`, domains, ids of batches; all users if the list is empty
    audience text collate "C" not null,
    -- where users open it; null without one
    address text collate "C",
    created_by text collate "C" not null,
    created_at bigint not null,
    -- when a user last signed in there, to the minute
    used_at bigint,
    -- of the form that created it, which may arrive twice
    form_key text collate "C" unique
);

-- The sign-ins of users at applications: each row has a code, and the tokens that replaced it.
create table grants (
    grant_id text collate "C" not null primary key,
    client_id text collate "C" not null,
    user_id text collate "C" not null,
    session_id text collate "C" not null,
    scope text collate "C" not null,
    redirect_uri text collate "C" not null,
    nonce text collate "C",
    code_challenge text collate "C",
    authenticated_at bigint,
    -- of the session, when it granted this
    methods text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    code_hash bytea not null unique,
    code_expires_at bigint not null,
    code_used boolean not null,
    access_hash bytea unique,
    access_scope text collate "C",
    access_expires_at bigint,
    -- of the part that all refresh tokens of the grant have in common: one that was used before still
    -- finds the grant, and ends it
    family_hash bytea unique,
    refresh_hash bytea,
    refresh_expires_at bigint
);

create index grants_user on grants (user_id);

create index grants_session on grants (session_id, client_id);

create index grants_client on grants (client_id, user_id);

create index grants_expiry on grants (expires_at);

-- The public parts of the keys that sign ID tokens. Their private parts are files of the servers.
create table public_keys (
    kid text collate "C" not null primary key,
    jwk text collate "C" not null,
    signs_from bigint not null,
    -- when it was replaced because it may be stolen
    revoked_at bigint
);

-- The index of words: the words of the accounts' names, last names and emails. The publication of the
-- batch and the position in it stand for the `user_id`, in a fifth of its size. The kinds: 0 begins the
-- name or the last name, 1 is another word of them, 2 is only in the email.
create table user_words (
    -- in this order a row has no padding
    publication bigint not null,
    position bigint not null,
    kind smallint not null,
    word text collate "C" not null,
    primary key (kind, word, publication, position)
);

-- One row: how far the index of words is filled, in the order of publication and position. All
-- accounts up to the watermark (`publication`, `position`) have their words. The index is filled in
-- segments, whose words are written in the order of the table: the accounts after the watermark up to
-- (`end_publication`, `end_position`) may have some of their words, and the others have none.
-- The process `holder` fills the index, and no other one does so before the time `until`.
create table search_index (
    id integer primary key check (id = 1),
    publication bigint not null,
    position bigint not null,
    end_publication bigint not null,
    end_position bigint not null,
    holder text collate "C" not null,
    until bigint not null
);

insert into search_index (id, publication, position, end_publication, end_position, holder, until)
    values (1, 0, 0, 0, 0, '', 0);
