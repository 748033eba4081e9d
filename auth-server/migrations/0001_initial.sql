-- One text for SQLite and PostgreSQL: text, bigint and integer only. Times are NumericDates; a boolean is the time since
-- which it is true; sets and documents are JSON text; hashes are base64url text.
--
-- revoked_until: access tokens of this person, client, resource or grant that were issued up to this moment are revoked; the
-- next one is issued after it, so that it is never taken for one of them.

-- upstream_groups: the union of the groups of the person's identities, kept by whoever writes one of those.
-- passwordless_since: nobody knows the password, because a provider made the account and its person has chosen none.
create table users (
    id text not null primary key,
    email text not null unique,
    name text,
    organization text not null,
    group_names text not null,
    upstream_groups text not null default '[]',
    password_hash text not null,
    passwordless_since bigint,
    admin_since bigint,
    created_at bigint not null,
    disabled_at bigint,
    revoked_until bigint
);
create index users_of_organization on users (organization);
create index users_administrators on users (admin_since) where admin_since is not null;

-- Accounts at upstream providers. claimed_until: one server asks the provider at this moment, and the others wait for it.
create table identities (
    id text not null primary key,
    provider text not null,
    subject text not null,
    user_id text not null references users (id),
    email text,
    group_names text not null,
    source text not null,
    refresh_token text,
    created_at bigint not null,
    checked_at bigint not null,
    claimed_until bigint,
    ended_at bigint,
    unique (provider, subject),
    unique (user_id, provider)
);

-- One row at most, whose key is fixed: two servers that start together cannot both leave a link behind. The row stays when
-- the link is used, so that nobody replaces it while the first administrator is being made.
create table setup_links (
    id integer not null primary key check (id = 1),
    hash text not null,
    created_at bigint not null,
    used_at bigint
);

-- One-time links: without user_id an invitation, of which an account with this address comes; with it a reset.
create table account_links (
    hash text not null primary key,
    user_id text references users (id),
    email text not null,
    name text,
    group_names text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index account_links_of_email on account_links (email);
create index account_links_of_user on account_links (user_id);
create index account_links_by_expiry on account_links (expires_at);

-- id is what clients know a session by. It stays when the same person signs in anew in the same browser.
create table sessions (
    hash text not null primary key,
    id text not null,
    user_id text not null references users (id),
    method text not null,
    address text,
    agent text,
    auth_time bigint not null,
    proved_at bigint,
    last_seen_at bigint not null,
    provider text,
    ended_at bigint
);
create index sessions_of_user on sessions (user_id);
create index sessions_by_age on sessions (auth_time);

-- Clients that are still to be told that a session ended, written with its end. Whoever tries moves due_at first, so that nobody
-- else tries at the same time.
create table logouts (
    client_id text not null,
    session_id text not null,
    user_id text not null,
    created_at bigint not null,
    tries bigint not null,
    due_at bigint not null,
    primary key (client_id, session_id)
);
create index logouts_by_time on logouts (due_at);

-- last_step is the step of the last code that was used.
create table second_factors (
    user_id text not null primary key references users (id),
    sealed text not null,
    last_step bigint not null,
    created_at bigint not null
);

create table recovery_codes (
    hash text not null primary key,
    user_id text not null references users (id),
    used_at bigint
);
create index recovery_codes_of_user on recovery_codes (user_id);

create table passkeys (
    id text not null primary key,
    user_id text not null references users (id),
    name text not null,
    public_key text not null,
    counter bigint not null,
    created_at bigint not null,
    last_used_at bigint
);
create index passkeys_of_user on passkeys (user_id);

create table clients (
    id text not null primary key,
    name text,
    origin text not null,
    redirect_uris text not null,
    post_logout_redirect_uris text not null,
    grant_types text not null,
    auth_method text not null,
    secret_hash text,
    former_secret_hash text,
    -- Of a client that registered itself: what it manages its registration with.
    registration_token_hash text,
    ceiling text,
    ceiling_places text not null,
    backchannel_logout text,
    created_at bigint not null,
    disabled_at bigint,
    revoked_until bigint,
    about text not null,
    document_read_at bigint,
    check ((origin = 'document') = (document_read_at is not null)),
    check ((auth_method = 'none') = (secret_hash is null)),
    check (former_secret_hash is null or secret_hash is not null),
    check (registration_token_hash is null or origin = 'dynamic')
);
create index clients_by_origin on clients (origin, created_at);

-- The key is the folded address, under which all spellings are one.
create table resources (
    folded text not null primary key,
    uri text not null,
    name text not null,
    mode text not null,
    access text not null,
    model text not null,
    client_id text not null unique,
    secret_hash text not null,
    former_secret_hash text,
    created_at bigint not null,
    disabled_at bigint,
    revoked_until bigint
);

-- The organizations that people share. Every person has one of their own besides, which has no row and no nodes.
create table organizations (
    id text not null primary key,
    name text not null unique,
    created_at bigint not null
);

create table nodes (
    organization text not null references organizations (id),
    path text not null,
    title text,
    created_at bigint not null,
    primary key (organization, path)
);

-- Who may do what where. Without an organization: each person's own; without a node: all of it; without a resource: each.
-- No rule says the same as another one.
create table entitlements (
    id text not null primary key,
    holder text not null check (holder in ('person', 'group', 'everyone')),
    user_id text references users (id),
    group_name text,
    tier text not null,
    resource text references resources (folded),
    organization text references organizations (id),
    node text,
    created_at bigint not null,
    disabled_at bigint,
    foreign key (organization, node) references nodes (organization, path),
    check ((holder = 'person') = (user_id is not null)),
    check ((holder = 'group') = (group_name is not null))
);
create unique index entitlements_once on entitlements (coalesce(user_id, ''), coalesce(group_name, ''), tier,
    coalesce(resource, ''), coalesce(organization, ''), coalesce(node, ''));
create index entitlements_of_resource on entitlements (resource);
create index entitlements_of_node on entitlements (organization, node);

-- client_id and resource are what was agreed to, and outlive their objects. client_row and resource_row are the objects
-- themselves, null once they are removed: as foreign keys they make sure that no grant slips in while its client or
-- resource is being removed. No index looks at last_used_at: every refresh changes it.
create table grants (
    id text not null primary key,
    user_id text not null references users (id),
    client_id text not null,
    client_row text references clients (id),
    resource text not null,
    resource_row text references resources (folded),
    organization text not null,
    oidc text not null,
    allowance text not null,
    method text not null,
    auth_time bigint not null,
    sign_in text not null,
    session_id text not null,
    created_at bigint not null,
    expires_at bigint not null,
    last_used_at bigint,
    last_used_address text,
    last_used_agent text,
    revoked_until bigint,
    ended_at bigint,
    end_reason text,
    strange_retries bigint not null default 0,
    strange_since bigint not null default 0,
    check ((ended_at is null) = (end_reason is null)),
    check (ended_at is not null or (client_row is not null and resource_row is not null))
);
create index grants_of_user on grants (user_id, id);
create index grants_of_client on grants (client_row, id);
create index grants_of_resource on grants (resource_row, id);
create index grants_of_organization on grants (organization, id);
create index grants_of_session on grants (session_id);
create index grants_by_end on grants (ended_at) where ended_at is not null;
create index grants_by_expiry on grants (expires_at);

-- Keys of people. Without powers: for everything that the person may do. As with grants, resource is what the key was made for,
-- and resource_row the object itself.
create table api_keys (
    id text not null primary key,
    user_id text not null references users (id),
    name text not null,
    organization text not null,
    resource text,
    resource_row text references resources (folded),
    powers text,
    rate_limit bigint,
    hash text not null unique,
    prefix text not null,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint,
    check (revoked_at is not null or (resource is null) = (resource_row is null))
);
create index api_keys_of_user on api_keys (user_id, id);
create index api_keys_of_resource on api_keys (resource_row) where resource_row is not null;

create table authorization_codes (
    hash text not null primary key,
    grant_id text not null unique references grants (id),
    session_hash text not null references sessions (hash),
    redirect_uri text not null,
    code_challenge text not null,
    nonce text,
    expires_at bigint not null,
    failed_tries bigint not null,
    spent_at bigint
);
create index authorization_codes_of_session on authorization_codes (session_hash);
create index authorization_codes_never_spent on authorization_codes (expires_at) where spent_at is null;

-- A generation exists once: even a fault elsewhere could not give one token two successors.
create table refresh_tokens (
    hash text not null primary key,
    grant_id text not null references grants (id),
    generation bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    spent_at bigint,
    answer text,
    check (answer is null or spent_at is not null),
    unique (grant_id, generation)
);
create index refresh_tokens_answered on refresh_tokens (spent_at) where answer is not null;

-- position counts from 1 and is unique, so that of several servers that start together one makes the first key. There is
-- one active key and one next at most. The sealed private key goes when a key stops signing; the public one stays, to verify
-- what it once signed.
create table signing_keys (
    kid text not null primary key,
    position bigint not null unique,
    algorithm text not null,
    state text not null check (state in ('next', 'active', 'retired', 'removed', 'revoked')),
    public_jwk text not null,
    sealed text,
    created_at bigint not null,
    activated_at bigint,
    retired_at bigint,
    removed_at bigint,
    check ((sealed is null) = (state not in ('next', 'active')))
);
create unique index signing_keys_in_use on signing_keys (state) where state in ('next', 'active');

-- Counters: how far the revocation feed is, how often the signing keys changed, how far the audit trail is chained, how often
-- somebody was written down in logouts. Whoever
-- adds to the feed first counts up its row, and so holds it until the transaction is over: entries become visible in their
-- order.
create table heads (
    name text not null primary key,
    sequence bigint not null
);
insert into heads (name, sequence) values ('revocations', 0), ('signing_keys', 0), ('audit', 0),
    ('logouts', 0);

-- The revocation feed. An entry may go once it is expired: no token is left then that it concerns.
create table revocations (
    sequence bigint not null primary key,
    claim text not null,
    value text not null,
    issued_until bigint,
    expires_at bigint not null
);
create index revocations_by_expiry on revocations (expires_at);
create index revocations_of_value on revocations (claim, value);

-- Single texts. feed_epoch names this life of the database: a restore gives it a new one.
create table facts (
    name text not null primary key,
    value text not null
);

-- What was done, written with the deed. sequence and hash come a moment later, when the row is taken into the chain.
create table audit_events (
    id text not null primary key,
    at bigint not null,
    actor_kind text not null,
    actor text,
    action text not null,
    object text,
    address text,
    detail text not null,
    sequence bigint unique,
    hash text,
    check ((sequence is null) = (hash is null))
);
create index audit_events_not_chained on audit_events (id) where sequence is null;
create index audit_events_of_object on audit_events (object);

create table audit_checkpoints (
    sequence bigint not null primary key,
    hash text not null,
    at bigint not null,
    signed text not null
);

create table admin_keys (
    id text not null primary key,
    name text not null,
    hash text not null unique,
    permissions text not null,
    created_by text,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint
);
