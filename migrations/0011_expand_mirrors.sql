-- What:  peers that nobody can connect to: they join by an invitation and deposit their logs at a mirror; regions that
--        a node chose to mirror; who may be named in a directory.
-- Phase: expand. Short locks on `peer` and `participant`.

alter table peer alter column url drop not null;            -- null: it joined by invitation and has no address
alter table peer add constraint peer_is_named check (url is not null or operator_scid is not null);
alter table peer add column deposits_here boolean not null default false;   -- it joined: may deposit logs here
alter table peer add column mirrors_us boolean not null default false;      -- this node deposits its logs there
alter table peer add column is_listed boolean not null default false;       -- it says that it may be named to others
alter table peer add column logs_left_out integer not null default 0;       -- of other regions than the chosen ones
create unique index peer_depositor on peer (operator_scid) where deposits_here;

-- Who brought a participant here first by depositing it: counts towards that depositor's quota.
alter table participant add column deposited_by integer references peer (id) on delete set null;
create index participant_deposited_by on participant (deposited_by) where deposited_by is not null;

-- One-time codes for nodes that want to deposit here. While one can be used, and after it was, its slug is taken.
create table mirror_invitation (
    id         integer generated always as identity primary key,
    code_hash  bytea not null unique,
    slug       text,
    trust      text not null check (trust in ('allowed', 'quarantined')),
    made_at    timestamptz not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    peer_id    integer references peer (id) on delete cascade
);

-- What each depositor has sent within the present hour.
create table deposit_spent (
    peer_id    integer primary key references peer (id) on delete cascade,
    hour       timestamptz not null,
    size_bytes bigint not null
);

-- Region codes and SCIDs of what this node mirrors; without any, everything.
create table mirror_choice (
    what text primary key
);
