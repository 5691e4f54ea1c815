-- What:  single records that this node's operator does not show, whatever the publisher's trust.
-- Phase: expand (a new table; a column with a constant default on `organization`, whose index that answers whether a
--        publisher may be seen is made anew).
--
-- A column on every record row would have to be written by all that write rows, and costs each of them. Instead the
-- publisher's row, which every question looks up anyway, says whether any of its records is suppressed at all; only
-- then is the table asked, record by record. The flag follows the table by triggers, as `visible` follows trust.

create table suppression (
    publisher_id integer not null references participant (id) on delete cascade,
    type         text not null,
    record_id    uuid not null,
    number       bigint generated always as identity unique,   -- the order of pages
    at           timestamptz not null,
    actor        text not null,
    reason       text,
    primary key (publisher_id, type, record_id)
);

alter table organization add column suppresses boolean not null default false;   -- some record of it is suppressed
drop index organization_visible;
create index organization_visible on organization (publisher_id) include (scid, suppresses) where visible;

create or replace function organization_introduced() returns trigger language plpgsql as $$
begin
    -- Shared: a change of trust, or a suppression, that is under way is waited for; one that comes later finds this row.
    select participant.scid, participant.trust = 'allowed' into strict new.scid, new.visible
    from participant where participant.id = new.publisher_id for share;
    new.suppresses = exists (select from suppression where publisher_id = new.publisher_id);
    return new;
end
$$;

-- A function and not a subquery: PostgreSQL makes a subquery ready in every statement, which costs a page more than all
-- its rows, and a function only when it is called.
create function is_suppressed(publisher integer, record_type text, record uuid) returns boolean
    language plpgsql stable parallel safe cost 10 as $$
begin
    return exists (
        select from suppression where publisher_id = publisher and type = record_type and record_id = record
    );
end
$$;

create function publisher_suppresses() returns trigger language plpgsql as $$
declare
    publisher integer = coalesce(new.publisher_id, old.publisher_id);
begin
    perform from participant where id = publisher for no key update;
    update organization set suppresses = exists (select from suppression where publisher_id = publisher)
    where publisher_id = publisher;
    return null;
end
$$;
create trigger publisher_suppresses after insert or delete on suppression
    for each row execute function publisher_suppresses();
