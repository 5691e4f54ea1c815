-- What:  requests for restricted parts that wait at a mirror until their home, which nobody can connect to, fetches them;
--        what this node asked for and waits for; and releases that are written down once, however often a request comes.
-- Phase: expand (two new tables; a column without a rewrite and a small index on `restricted_release`).

-- At a mirror. Nobody here can read an answer. The home is the owner's home peer at the time of fetching.
create table restricted_mail (
    id           bigint generated always as identity primary key,
    request_hash bytea not null unique,
    request      bytea not null,
    owner_id     integer not null references participant (id),
    asker_scid   text not null,
    node_scid    text not null,                             -- the operator of the node that asks
    uri          text not null,
    until        timestamptz not null,
    arrived_at   timestamptz not null,
    fetched_at   timestamptz,                               -- when the home was last given it
    answer       bytea,
    collected_at timestamptz                                -- when the asking node was first given the answer
);
create index restricted_mail_owner on restricted_mail (owner_id, fetched_at nulls first, id) where answer is null;

-- At the asking node. The key that opens the answer follows from `seed` and a secret that is not in the database.
create table restricted_asked (
    participant_id integer not null references participant (id),
    uri            text not null,
    leaf           bytea not null,
    seed           bytea not null,
    request        bytea not null,
    asked_at       timestamptz not null,
    until          timestamptz not null,
    primary key (participant_id, uri)
);

alter table restricted_release add column request_hash bytea;
create unique index restricted_release_once on restricted_release (request_hash, rule) where request_hash is not null;
