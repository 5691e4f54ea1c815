-- What:  what a question needs of every row, kept beside it: whether its publisher may be seen and under which SCID, and
--        the first language of short texts as JSON text.
-- Phase: expand. `organization` and the three tables with texts are written anew and locked meanwhile, some 15 s a
--        million rows.
--
-- Most of a page's time went into two look-ups a row, one for trust and one for the organization, and into taking
-- jsonb apart. Nobody writes these columns: the generated ones follow their texts, `scid` and `visible` follow the
-- participant by the triggers below, in the transaction that changes its trust. They are not part of what a log says.

alter table organization
    add column scid      text not null default '',
    add column visible   boolean not null default false,   -- this node's operator allows its publisher
    add column name_json text generated always as ((name_text -> 0 -> 'text')::text) stored;
alter table need add column title_json text generated always as ((title_text -> 0 -> 'text')::text) stored;
alter table activity add column title_json text generated always as ((title_text -> 0 -> 'text')::text) stored;
alter table update_post add column body_json text generated always as ((body_text -> 0 -> 'text')::text) stored;

update organization set scid = participant.scid, visible = participant.trust = 'allowed'
from participant where participant.id = publisher_id;
create index organization_scid on organization (scid);
create index organization_visible on organization (publisher_id) include (scid) where visible;

create function organization_introduced() returns trigger language plpgsql as $$
begin
    -- Shared: a change of trust that is under way is waited for, and one that comes later finds this row.
    select participant.scid, participant.trust = 'allowed' into strict new.scid, new.visible
    from participant where participant.id = new.publisher_id for share;
    return new;
end
$$;
create trigger organization_introduced before insert on organization
    for each row execute function organization_introduced();

create function organization_trusted() returns trigger language plpgsql as $$
begin
    update organization set visible = new.trust = 'allowed' where publisher_id = new.id;
    return null;
end
$$;
create trigger organization_trusted after update of trust on participant
    for each row when (old.trust is distinct from new.trust) execute function organization_trusted();
