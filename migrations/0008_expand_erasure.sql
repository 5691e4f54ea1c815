-- What:  erasures, who acknowledged them, and requests of people without an account to have something removed.
-- Phase: expand. Creates tables and an index on `event`, which is locked against writing while the index is made.

-- Every erase entry that counts. What it names is gone from `payload` in the transaction that wrote the row.
create table erasure (
    log_id      integer not null references log (id),
    index       bigint not null,                            -- of the erase entry
    type        text not null,
    record_id   uuid not null,
    parts       smallint[] not null,                        -- as in payload.part
    at          timestamptz not null,                       -- as its author claims
    executed_at timestamptz not null,
    executed_by xid8 not null default pg_current_xact_id(), -- whoever began before it may still see what it deleted
    swept_at    timestamptz,                                -- since when the files hold the bytes no more
    primary key (log_id, index)
);
create index erasure_record on erasure (log_id, record_id, type);
create index erasure_unswept on erasure (executed_at) where swept_at is null;

-- What operators of other nodes signed: "all erases in the first `size` entries are executed". The newest of each.
create table erasure_acknowledgement (
    log_id        integer not null references log (id),
    operator_scid text not null,
    size          bigint not null,
    at            timestamptz not null,                     -- as the operator claims
    note          bytea not null,
    received_at   timestamptz not null,
    primary key (log_id, operator_scid)
);

-- What people without an account ask an operator to remove.
create table removal_request (
    id         bigint generated always as identity primary key,
    at         timestamptz not null default now(),
    uri        text not null,
    reason     text not null,
    contact    text,
    settled_at timestamptz,
    outcome    text
);
create index removal_request_open on removal_request (id) where settled_at is null;

create index event_erased on event (type, seq) where kind = 'ERASED';
