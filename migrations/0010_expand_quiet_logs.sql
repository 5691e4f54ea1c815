-- What:  which transaction last changed what heads say of a log, so that "what changed since" is found by an index and
--        costs nothing for the logs that did not; when a peer was last asked for all it holds; which of its logs are to
--        be asked for again by themselves.
-- Phase: expand. `log` and `participant` are rewritten once (a volatile default) under an exclusive lock; they are small.
--
-- Two columns rather than one: a log and its participant are locked in either order by different writers, so no trigger
-- on the one may write the other.

alter table log add column changed_by xid8 not null default pg_current_xact_id();
alter table participant add column changed_by xid8 not null default pg_current_xact_id();
create index log_changed on log (changed_by);
create index participant_changed on participant (changed_by);

create function note_change() returns trigger language plpgsql as $$
begin
    new.changed_by := pg_current_xact_id();
    return new;
end
$$;
create trigger log_changed before update on log for each row execute function note_change();
create trigger participant_changed before update of trust, hosted, did_version, ended on participant
    for each row execute function note_change();

-- Counted at every exchange that meets strangers; at most 2,000 are kept.
create index participant_quarantined on participant (id) where trust = 'quarantined';

alter table peer add column asked_all_at timestamptz;       -- when it last told all it holds, and all of it was taken in

-- Logs of a peer that an exchange did not bring up to date: they are asked for again, each after its own pause, while
-- the peer's hint goes on. Otherwise one refused log would have every later exchange tell of all that changed since.
create table left_log (
    peer_id integer not null references peer (id) on delete cascade,
    origin  text not null,
    tries   integer not null default 1,
    due_at  timestamptz not null,
    primary key (peer_id, origin)
);
