-- What:  for which participants a mirror keeps requests while their home is away, which peers say that they do, and
--        requests for removal that travel to the author's home.
-- Phase: expand (columns, two small indexes and a small new table; `removal_request` is written anew, and small).

-- The peer that deposits here and writes this participant's log; it need not live under the host in the DID.
alter table participant add column mirrored_for integer references peer (id) on delete set null;
create index participant_mirrored_for on participant (mirrored_for) where mirrored_for is not null;
update participant set mirrored_for = home_peer_id from peer
where peer.id = home_peer_id and peer.deposits_here and not participant.hosted;

-- Peers that say of themselves that they keep requests for a participant's home. A hint.
create table mail_place (
    participant_id integer not null references participant (id),
    peer_id        integer not null references peer (id) on delete cascade,
    primary key (participant_id, peer_id)
);
create index mail_place_peer on mail_place (peer_id);

alter table removal_request add column letter uuid not null default gen_random_uuid();  -- its name between nodes
alter table removal_request add column owner_id integer references participant (id);    -- whose record, if known here
alter table removal_request add column given_at timestamptz;                            -- when the home was last given it
alter table removal_request add column fetched_at timestamptz;                          -- when the home said it has it
alter table removal_request add column told_by integer references peer (id) on delete set null;  -- who passed it on
create unique index removal_request_once on removal_request (letter);
create index removal_request_waiting on removal_request (owner_id, id) where fetched_at is null and settled_at is null;
