-- What:  restricted parts sealed by numbered keys, who may have them and who was given them, and backups kept for peers.
-- Phase: expand. Locks: `payload`, `idempotency`, `participant` and `peer` for a moment each (columns without a rewrite).
--        Parts stored in plain before are sealed when the node starts: SQL has no keys. New ones cannot be plain.

-- Of a sealed part `salt` holds the nonce, `data` salt and payload encrypted together.
alter table payload add column key_number integer;
alter table payload add constraint payload_restricted_is_sealed
    check ((part = 2) = (key_number is not null)) not valid;
create index payload_restricted on payload (log_id, key_number, index) where part = 2;

-- A digest of a contact is a guess away from the contact: they are blinded with a secret, old ones at the next start.
alter table idempotency add column blinded boolean not null default false;
create index idempotency_unblinded on idempotency (participant_id) where not blinded;

-- Whom an owner allows to have its restricted parts. `participant_id` is the owner, hosted here.
create table restricted_grant (
    participant_id integer not null references participant (id),
    asker_scid     text not null,
    granted_at     timestamptz not null default now(),
    granted_by     text not null,
    primary key (participant_id, asker_scid)
);

-- Every answer to a request for a restricted part, given or refused, and under which rule.
create table restricted_release (
    id             bigint generated always as identity primary key,
    at             timestamptz not null default clock_timestamp(),
    participant_id integer not null references participant (id),
    asker_scid     text not null,
    node_scid      text not null,                           -- the operator of the node that asked
    uri            text not null,
    index          bigint not null,
    is_released    boolean not null,
    rule           text not null
);
create index restricted_release_owner on restricted_release (participant_id, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are only ever added', tg_table_name;
end
$$;
create trigger restricted_release_is_kept before update or delete or truncate on restricted_release
    for each statement execute function refuse_change();

-- What backups of a participant are sealed to, and the hash of the word that fetches them: both from its cards' seed.
alter table participant add column backup_key bytea;
alter table participant add column backup_reader_hash text;

-- A peer keeps our backups: what was deposited there last, by a fingerprint of what was to be backed up.
create table backup_target (
    peer_id     integer primary key references peer (id) on delete cascade,
    added_at    timestamptz not null default now()
);
create table backup_sent (
    peer_id        integer not null references peer (id) on delete cascade,
    participant_id integer not null references participant (id),
    version        bigint not null,
    fingerprint    text not null,
    sent_at        timestamptz not null,
    primary key (peer_id, participant_id)
);

-- We keep a peer's: how many bytes it may leave here, and its sealed backups.
alter table peer add column backup_bytes_max bigint not null default 0;
create table backup (
    id          bigint generated always as identity primary key,
    peer_id     integer not null references peer (id) on delete cascade,
    scid        text not null,
    version     bigint not null,
    manifest    bytea not null,
    reader_hash text not null,
    bytes       bigint not null,
    is_complete boolean not null default false,
    received_at timestamptz not null default now(),
    unique (peer_id, scid, version)
);
create index backup_reader on backup (reader_hash) where is_complete;
create table backup_chunk (
    backup_id bigint not null references backup (id) on delete cascade,
    number    integer not null,
    data      bytea not null,
    primary key (backup_id, number)
);
