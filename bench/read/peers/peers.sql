-- What PostGraphile and the floor read: views with the columns the questions need, on Gotong's own tables and indexes.
-- PostgreSQL merges views into the query, so they cost nothing beside the same joins written out.

create schema if not exists peer;

create or replace view peer.community as
select o.publisher_id, o.scid, 'gotong:' || o.scid as uri, o.slug, o.kind, o.name_text -> 0 ->> 'text' as name
from public.organization o where o.visible;

create or replace view peer.need as
select n.publisher_id, n.record_id, p.scid, 'gotong:' || p.scid || '/need/' || n.record_id as uri,
       n.title_text -> 0 ->> 'text' as title, n.description_text -> 0 ->> 'text' as description,
       n.kind, n.category, n.quantity_value::text as quantity_value, n.quantity_unit,
       n.money_amount::text as money_amount, n.money_currency, n.urgency, n.region, n.needed_by, n.expires_at,
       n.state, n.received_at
from public.need n join public.organization p on p.publisher_id = n.publisher_id and p.visible
where not n.exercise;

create or replace view peer.news as
select u.publisher_id, u.record_id, 'gotong:' || p.scid || '/update/' || u.record_id as uri, u.about_uri,
       u.body_text -> 0 ->> 'text' as body, u.published_at, u.received_at
from public.update_post u join public.organization p on p.publisher_id = u.publisher_id and p.visible
where not u.exercise;

comment on view peer.community is E'@primaryKey publisher_id';
comment on view peer.need is E'@primaryKey publisher_id,record_id\n@unique scid,record_id\n@unique uri\n@foreignKey (publisher_id) references peer.community (publisher_id)|@fieldName publisher';
comment on view peer.news is E'@primaryKey publisher_id,record_id\n@foreignKey (about_uri) references peer.need (uri)|@foreignFieldName news';

-- Text and region, on the index Gotong has for it; the question's words come as Gotong's own parser splits them.
create or replace function peer.search_needs(words text[], inside text) returns setof peer.need
language sql stable as $$
    select n.* from peer.need n
    where (n.publisher_id, n.record_id) in (
        select s.publisher_id, s.record_id from public.need_search s
        where s.region_path @> array[inside] and s.document @@ (
            (websearch_to_tsquery('gotong_indonesian', words[1])
             && (websearch_to_tsquery('gotong_indonesian', words[2]) || (quote_literal(words[3]) || ':*')::tsquery))
            || (websearch_to_tsquery('gotong_english', words[1])
                && (websearch_to_tsquery('gotong_english', words[2]) || (quote_literal(words[3]) || ':*')::tsquery))
        )
    )
    order by n.received_at desc, n.record_id desc
$$;
