-- What:  indexes that end where the orders of questions end, for NEEDED_BY and NAME, for places, for unknown categories.
-- Phase: expand. Each index is made before the one it replaces goes; `need.category` changes its collation, which makes
--        its index anew and leaves the rows alone. Locks: each table against writing, while its indexes are made.
--
-- pg_trgm compares words for the suggestions of a search that found nothing. Like unaccent it is a trusted extension:
-- the owner of a database may create it.

create extension if not exists pg_trgm;

-- Two publishers may use one uuid at one instant: an order is total only with the publisher in it.
create index organization_received_total on organization (received_at, record_id, publisher_id);
create index organization_published_total on organization (published_at, record_id, publisher_id);
create index organization_kind_total on organization (kind, received_at, record_id, publisher_id);
create index organization_name_total on organization
    ((left(name_text -> 0 ->> 'text', 32) collate "C"), record_id, publisher_id);
drop index organization_received, organization_kind;

create index activity_received_total on activity (received_at, record_id, publisher_id);
create index activity_published_total on activity (published_at, record_id, publisher_id);
create index activity_starts_total on activity (starts_at, record_id, publisher_id);
drop index activity_received, activity_starts;

create index update_post_received_total on update_post (received_at, record_id, publisher_id);
create index update_post_published_total on update_post (published_at, record_id, publisher_id);
create index update_post_about_total on update_post (about_uri, received_at, record_id, publisher_id);
drop index update_post_received, update_post_about;

-- Ranges of codes ("food." to "food/") find categories that a newer version made; only the C collation sorts them so.
drop index need_category;
alter table need alter column category type text collate "C";
create index need_category_total on need (category, received_at, record_id, publisher_id);
create index need_received_total on need (received_at, record_id, publisher_id);
create index need_published_total on need (published_at, record_id, publisher_id);
create index need_urgency_total on need (urgency, received_at, record_id, publisher_id);
create index need_needed_by_total on need ((coalesce(needed_by, 'infinity')), record_id, publisher_id);
drop index need_received, need_published, need_urgency;
create index need_place on need (lat, lon);
create index activity_place on activity (lat, lon);
