-- What:  how much is kept of those nobody has looked at yet, and which alerts operators were told of.
-- Phase: expand (a new column with a constant default, filled for those in quarantine; a new table).

alter table log add column quarantined_bytes bigint not null default 0;   -- taken while its publisher was in quarantine
update log set quarantined_bytes = coalesce((
    select sum(length(entry.data) + coalesce(length(payload.data), 0))
    from entry left join payload on payload.log_id = entry.log_id and payload.index = entry.index and payload.part = 1
    where entry.log_id = log.id
), 0)
from participant where participant.id = log.participant_id and participant.trust = 'quarantined';

-- What needs an operator is computed from the other tables; this remembers since when, so that it is told once.
create table alert (
    kind    text not null,
    subject text not null,
    since   timestamptz not null,
    primary key (kind, subject)
);
