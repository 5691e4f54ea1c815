-- What:  participants, their signed logs, peers, refusals, and the event outbox.
-- Phase: expand (creates only; no lock on anything that exists).
--
-- Numbers such as participant.id and log.id are local to this database and never leave it.
-- Every big table leads with the log (or the publisher) it belongs to, so it can be distributed by it.

create extension if not exists unaccent;

create table node_state (
    singleton   boolean primary key default true check (singleton),
    network     text not null check (network in ('live', 'test')),
    stream_id   uuid not null default gen_random_uuid(),   -- a restored database gets a new one
    operator_id integer,
    created_at  timestamptz not null default now()
);

create table peer (
    id              integer generated always as identity primary key,
    url             text not null unique,
    trust           text not null default 'quarantined' check (trust in ('allowed', 'quarantined', 'blocked')),
    operator_scid   text,
    added_at        timestamptz not null default now(),
    since           text,                                   -- the peer's own hint, opaque to us
    next_pull_at    timestamptz not null default now(),
    failures        integer not null default 0,
    last_ok_at      timestamptz,
    last_error_code text,
    skew_ms         bigint                                  -- our clock minus the peer's, at the last exchange
);

create table participant (
    id           integer generated always as identity primary key,
    scid         text not null unique,
    did          text not null,
    host         text not null,                             -- as the DID writes it, port decoded
    slug         text not null,
    hosted       boolean not null default false,            -- its log key is here
    trust        text not null default 'quarantined' check (trust in ('allowed', 'quarantined', 'blocked')),
    trust_set_by text not null default 'default' check (trust_set_by in ('default', 'peer', 'operator')),
    home_peer_id integer references peer (id) on delete set null,
    did_version  integer not null default 0,
    first_seen   timestamptz not null default now()
);
create unique index participant_hosted_slug on participant (slug) where hosted;
alter table node_state add foreign key (operator_id) references participant (id);

create table did_line (
    participant_id integer not null references participant (id),
    version        integer not null,
    line           bytea not null,
    primary key (participant_id, version)
);

create table did_witness (
    participant_id integer primary key references participant (id),
    proofs         bytea not null
);

create table log (
    id              integer generated always as identity primary key,
    participant_id  integer not null references participant (id),
    epoch           integer not null check (epoch >= 0),
    origin          text not null unique,
    size            bigint not null default 0,              -- entries held, all of them verified
    edge            bytea not null default '',              -- right edge of the tree of `size` leaves
    checkpoint      bytea,                                  -- newest signed note of exactly checkpoint_size <= size
    checkpoint_size bigint not null default 0,
    target          bytea,                                  -- verified note beyond `size`, while a pull is under way
    target_size     bigint,
    target_proof    bytea,                                  -- consistency proof from `size` to target_size
    verified_at     timestamptz,
    unique (participant_id, epoch)
);

create table entry (
    log_id      integer not null references log (id),
    index       bigint not null,
    leaf_hash   bytea not null,
    data        bytea not null,                             -- the bytes that were signed, as they came
    received_at timestamptz not null,
    primary key (log_id, index)
);

-- Erasable, so apart from the entries. part: 1 body (replicated), 2 restricted (never leaves home).
create table payload (
    log_id integer not null,
    index  bigint not null,
    part   smallint not null check (part in (1, 2)),
    salt   bytea not null,
    data   bytea not null,
    primary key (log_id, index, part)
);

-- Roots of full 256^level subtrees: what tile level `level` holds. Level 0 is entry.leaf_hash.
create table tile_hash (
    log_id integer not null references log (id),
    level  smallint not null check (level >= 1),
    index  bigint not null,
    hash   bytea not null,
    primary key (log_id, level, index)
);

-- Entries that are verified and kept but have no row in a record table, and why.
create table unprojected (
    log_id    integer not null references log (id),
    index     bigint not null,
    reason    text not null,
    type      text not null,
    v         integer not null,
    record_id uuid not null,
    revision  integer not null,
    due_at    timestamptz,                                  -- when to try again by itself
    waits_for text,                                         -- URI of the record that has not arrived
    primary key (log_id, index)
);
create index unprojected_waits on unprojected (waits_for) where waits_for is not null;
create index unprojected_record on unprojected (log_id, record_id, revision desc);
create index unprojected_due on unprojected (due_at) where due_at is not null;
create index unprojected_type on unprojected (reason, type, v);

-- Answers already given to a writer's key: the same key and content returns them, other content is refused.
create table idempotency (
    participant_id integer not null references participant (id),
    key            text not null,
    digest         bytea not null,
    answer         jsonb not null,
    created_at     timestamptz not null default now(),
    primary key (participant_id, key)
);

-- What a peer sent that broke a rule.
create table refusal (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default now(),
    peer_id  integer references peer (id) on delete set null,
    origin   text,
    code     text not null,
    message  text not null,
    details  jsonb not null default '{}',
    evidence bytea                                          -- the offending bytes, bounded
);

-- What operators did. Append-only.
create table audit (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text not null,
    action  text not null,
    subject text not null,
    details jsonb not null default '{}'
);

-- Commits write the outbox in any order; one sequencer moves its rows to `event` and numbers them.
create table outbox (
    id           bigint generated always as identity primary key,
    kind         text not null,
    type         text not null,
    publisher_id integer not null,
    record_id    uuid not null,
    revision     integer not null
);

create table event (
    seq          bigint primary key,
    kind         text not null,
    type         text not null,
    publisher_id integer not null,
    record_id    uuid not null,
    revision     integer not null,
    at           timestamptz not null default clock_timestamp()
);
create index event_type_seq on event (type, seq);
