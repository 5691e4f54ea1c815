-- What:  erasures and grants of contacts are numbered, so that pages of them begin at a place that does not move.
-- Phase: expand. Both tables are locked and written anew: they hold a row an erasure, and one a grant, and are small.
--
-- Erasures were numbered by counting all of them for each page. The number is the order in which this node executed
-- them first; those that are here already are numbered in the order that pages had so far.

alter table erasure add column number bigint;
update erasure set number = counted.number
from (select log_id, index, row_number() over (order by executed_at, log_id, index) as number from erasure) counted
where erasure.log_id = counted.log_id and erasure.index = counted.index;
alter table erasure alter column number set not null;
alter table erasure alter column number add generated always as identity;
select setval(pg_get_serial_sequence('erasure', 'number'), (select coalesce(max(number), 0) + 1 from erasure), false);
create unique index erasure_number on erasure (number);

alter table restricted_grant add column number bigint;
update restricted_grant set number = counted.number
from (
    select participant_id, asker_scid, row_number() over (order by granted_at, participant_id, asker_scid) as number
    from restricted_grant
) counted
where restricted_grant.participant_id = counted.participant_id and restricted_grant.asker_scid = counted.asker_scid;
alter table restricted_grant alter column number set not null;
alter table restricted_grant alter column number add generated always as identity;
select setval(
    pg_get_serial_sequence('restricted_grant', 'number'),
    (select coalesce(max(number), 0) + 1 from restricted_grant),
    false
);
create index restricted_grant_owner on restricted_grant (participant_id, number);

-- Who is at home where, and what peers did lately, are asked for every page of peers and every ten seconds.
create index participant_home on participant (home_peer_id) where home_peer_id is not null;
create index refusal_at on refusal (at);
create index refusal_peer on refusal (peer_id, id);
create index log_frozen on log (id) where frozen_size is not null;
