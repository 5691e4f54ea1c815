-- What:  which key signs a log and which epoch is shown; participants that left, ended, moved or were succeeded;
--        invitations of guests.
-- Phase: expand. Short locks on `participant` and `log` (columns with constants, no rewrite).

alter table participant
    add column epoch   integer not null default 0,          -- of the log that the newest DID document states
    add column ended   boolean not null default false,      -- deactivated: its log is closed for good
    add column left_at timestamptz;                         -- hosted here until then
-- 'kept': inherited from a home that it moved away from; no other home's trust replaces it by itself.
alter table participant drop constraint participant_trust_set_by_check;
alter table participant add constraint participant_trust_set_by_check
    check (trust_set_by in ('default', 'peer', 'kept', 'operator'));

alter table log
    add column key_number   integer not null default 0,     -- n of #log-<epoch>-<n>, which signs; of hosted logs
    add column is_projected boolean not null default true;  -- the rows of this participant come from this epoch
create unique index log_projected on log (participant_id) where is_projected;

create table invitation (
    token_hash bytea primary key,                           -- SHA-256: the link itself is nowhere
    note       text not null,                               -- for whom, as the operator remembers it
    invited_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz,
    used_by_id integer references participant (id)
);

-- This node's people found that the successor is who the predecessor was. One successor each.
create table succession (
    predecessor_id integer primary key references participant (id),
    successor_id   integer not null references participant (id),
    accepted_at    timestamptz not null default now(),
    accepted_by    text not null,
    check (predecessor_id <> successor_id)
);
create index succession_successor on succession (successor_id);
