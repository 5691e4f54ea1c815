-- What:  which operators vouch for whom as the successor of a participant whose cards are all lost.
-- Phase: expand (a new table; a partial index on `organization`, over few rows).

-- What an operator signed, as bytes. One statement an operator: they all say the same.
create table vouch (
    successor_id   integer not null references participant (id),
    predecessor_id integer not null references participant (id),
    operator_id    integer not null references participant (id),
    note           bytea not null,
    at             timestamptz not null,                    -- as the operator says
    received_at    timestamptz not null,
    primary key (successor_id, predecessor_id, operator_id)
);

-- Whom peers are asked about.
create index organization_succeeds on organization ((doc ->> 'succeeds')) where doc ->> 'succeeds' is not null;
