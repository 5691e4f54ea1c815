-- What:  indexes that begin with what a question asks by (one category, regency, district or state) and end in its order,
--        so that a page costs the same at ten thousand needs and at ten million, the first as well as a deep one.
-- Phase: expand. `need` is locked against writing while they are made, some 15 s a million rows in all.
--
-- What an index begins with is compared by equality alone: the filters of needs spell it exactly so. A province is a
-- range of codes, checked in the index itself. Each costs an insert about 4 us of 90; there is none for what is rare
-- enough to be sorted (a district's newest) or frequent enough to be met on the way (a province's newest).

create index need_category_top_walk on need
    ((split_part(category, '.', 1)), received_at, record_id, publisher_id);
create index need_category_walk on need
    ((split_part(category, '.', 1) || '.' || split_part(category, '.', 2)), received_at, record_id, publisher_id);
create index need_regency_walk on need ((region_path[2]), received_at, record_id, publisher_id);
create index need_regency_urgency_walk on need ((region_path[2]), urgency, received_at, record_id, publisher_id);
create index need_district_urgency_walk on need ((region_path[3]), urgency, received_at, record_id, publisher_id);
create index need_urgency_walk on need (urgency, received_at, record_id, publisher_id, (region collate "C"));
create index need_state_needed_by_walk on need (state, (coalesce(needed_by, 'infinity')), record_id, publisher_id);
drop index need_urgency_total;
