-- Portable column types only: text, bigint, integer. Times are seconds since the epoch, a flag is the time it was set.

-- What an organization holds. Kept beside the rows so that a quota is one conditional write.
create table organizations (
    organization  text   not null primary key,
    storage_bytes bigint not null default 0 check (storage_bytes >= 0)
);

create table usage (
    organization text   not null,
    month        text   not null,
    requests     bigint not null,
    primary key (organization, month)
);

-- `seq` orders pages: it only grows, so an insert never moves what a reader has already seen. `folder` is a path in the data
-- tree of the organization, null for the organization itself. `subject`, `client_id` and `credential` made the row; the
-- columns that begin with `updated` say who changed it last.
create table artifacts (
    seq          integer primary key autoincrement,
    artifact_id  text   not null unique,
    organization text   not null,
    folder       text,
    subject      text   not null,
    client_id    text   not null,
    credential   text,
    filename     text   not null,
    content_type text   not null,
    size_bytes   bigint not null,
    -- What counts against the plan: the bytes and the notes.
    charged_bytes bigint not null,
    content_hash text,
    blob_id      text,
    session_id   text,
    agent_id     text,
    metadata     text   not null,
    created_at   bigint not null,
    activated_at bigint,
    expires_at   bigint,
    deleted_at   bigint,
    released_at  bigint,
    updated_at   bigint,
    updated_by   text,
    updated_by_client_id  text,
    updated_by_credential text
);
create index artifacts_by_organization on artifacts (organization, seq);

-- Every folder that was ever used, so that the folders which a credential reaches are found without reading every artifact.
create table folders (
    organization text not null,
    folder       text not null,
    primary key (organization, folder)
);

create index artifacts_by_session on artifacts (organization, subject, session_id);
create index artifacts_by_blob on artifacts (blob_id);
create index artifacts_to_expire on artifacts (expires_at) where released_at is null and expires_at is not null;
create index artifacts_to_abandon on artifacts (created_at) where released_at is null and activated_at is null;

-- A session is one person's. When its artifacts were made is asked of the artifacts, as far as the asker may read them.
create table sessions (
    seq          integer primary key autoincrement,
    organization text   not null,
    subject      text   not null,
    session_id   text   not null,
    sealed_at    bigint,
    -- Who sealed it: a client of the same person, or an API key by its name.
    sealed_by_client_id  text,
    sealed_by_credential text,
    unique (organization, subject, session_id)
);

-- One presigned PUT per pending artifact. `received_at` is set once: the write that sets it is the winner. `ended_at`: the
-- credential that asked for the address was revoked.
create table uploads (
    artifact_id  text   not null primary key references artifacts (artifact_id),
    token_hash   text   not null unique,
    organization text   not null,
    subject      text   not null,
    client_id    text   not null,
    credential   text,
    grant_id     text   not null,
    token_id     text   not null,
    key_id       text,
    issued_at    bigint not null,
    expires_at   bigint not null,
    ended_at     bigint,
    received_at  bigint,
    content_hash text,
    blob_id      text
);
create index uploads_by_blob on uploads (blob_id);
create index uploads_of_grant on uploads (grant_id) where ended_at is null;

-- Links that open without credentials: `agent` for the one-hour link, `public` for the one people share. From `organization`
-- to `issued_at` is the credential that made the link, with what a revocation can name of it. `ended_at`: that credential
-- was revoked, or the artifact was moved.
create table links (
    link_hash    text   not null primary key,
    kind         text   not null,
    artifact_id  text   not null references artifacts (artifact_id),
    organization text   not null,
    subject      text   not null,
    client_id    text   not null,
    credential   text,
    grant_id     text   not null,
    token_id     text   not null,
    key_id       text,
    issued_at    bigint not null,
    created_at   bigint not null,
    expires_at   bigint not null,
    ended_at     bigint
);
create index links_by_organization on links (organization, kind, expires_at);
create index links_to_forget on links (expires_at);
create index links_of_grant on links (grant_id) where ended_at is null;

-- What was revoked while there may be requests under way that began before: they make no address any more. Once no credential
-- is left that an entry concerns it is forgotten; what the credential made has ended by then.
create table revocations (
    claim        text   not null,
    value        text   not null,
    issued_until bigint,
    expires_at   bigint not null,
    primary key (claim, value)
);
create index revocations_to_forget on revocations (expires_at);

-- A key is one person's in one folder (empty for the organization itself), so that a credential for one folder learns nothing
-- of keys that were used in another.
create table idempotency_keys (
    organization text   not null,
    subject      text   not null,
    folder       text   not null,
    key          text   not null,
    fingerprint  text   not null,
    artifact_id  text   not null references artifacts (artifact_id),
    created_at   bigint not null,
    primary key (organization, subject, folder, key)
);
create index idempotency_keys_to_forget on idempotency_keys (created_at);
