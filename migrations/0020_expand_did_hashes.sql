-- What:  the hash of the newest entry of each DID log, beside its number: so that two tellings of one are seen in heads.
-- Phase: expand (a column with a constant default, filled from the entries that are here; as many rows as participants).

alter table participant add column did_hash text not null default '';   -- versionId without its number
update participant set did_hash = split_part(convert_from(did_line.line, 'UTF8')::jsonb ->> 'versionId', '-', 2)
from did_line where did_line.participant_id = participant.id and did_line.version = participant.did_version;
