-- What:  second opinions on logs: cosignatures, what this node cosigned itself, evidence of forks, and what keeps a
--        restored node from signing over its own past.
-- Phase: expand (new tables and columns with constant defaults; no rewrite of anything that exists).

-- What other hosts, and this one, say of a log: "at `at_s` the largest tree I had seen was this one". Beside the log,
-- not in its note: `line` is the note's signature line, so a note with cosignatures is a concatenation.
create table cosignature (
    log_id      integer not null references log (id),
    cosigner_id integer not null references participant (id),
    size        bigint not null,
    at_s        bigint not null,
    line        bytea not null,
    primary key (log_id, cosigner_id, size)
);

-- The newest checkpoint this node cosigned of a log, with that cosignature: a witness's whole memory.
create table witnessed (
    log_id integer primary key references log (id),
    size   bigint not null,
    note   bytea not null
);

-- Proof that somebody signed two stories. `data` is canonical JSON that anyone can check; `id` its SHA-256.
create table evidence (
    number    bigint generated always as identity primary key,
    id        bytea not null unique,
    kind      text not null,
    scid      text not null,
    origin    text,
    size      bigint not null,                              -- the smallest size (or DID version) told in two ways
    data      bytea not null,
    found_at  timestamptz not null,
    peer_id   integer references peer (id) on delete set null
);
create index evidence_scid on evidence (scid);

alter table log add column frozen_size bigint;              -- nothing from this index on is pulled, shown or relayed
alter table peer add column evidence_number bigint not null default 0;  -- how much of its evidence we have seen

-- What a peer was last seen to hold of a log hosted here, or to have cosigned. `run` orders sightings and starts of
-- processes without a clock.
create sequence guard_run;
create table sighting (
    log_id  integer not null references log (id),
    peer_id integer not null references peer (id) on delete cascade,
    size    bigint not null,
    agrees  boolean not null,                               -- what it holds is a prefix of what is held here
    run     bigint not null,
    primary key (log_id, peer_id)
);
create table peer_asked (
    peer_id integer primary key references peer (id) on delete cascade,
    run     bigint not null,                                -- when it last answered, or failed to
    reached boolean not null
);

alter table node_state add column seen boolean not null default false;   -- somebody else has read a log of this node
alter table node_state add column clean_stop jsonb;         -- what the last process left, matched by a file beside the keys

-- What people asked to publish while nothing may be signed; published later, in order, once. Sealed as restricted parts
-- are: it may hold contacts. `digest` is blinded.
create table waiting (
    id                bigint generated always as identity primary key,
    participant_id    integer not null references participant (id),
    type              text not null,
    record_id         uuid,
    expected_revision integer not null,                     -- -1: there was none
    key               text not null,                        -- idempotency key, made up when none came
    digest            bytea not null,
    key_number        integer not null,
    nonce             bytea not null,
    sealed            bytea not null,
    asked_at          timestamptz not null,
    refused_code      text,                                 -- its turn came and it broke a rule: kept for the operator
    refused_text      text,
    unique (participant_id, key)
);
