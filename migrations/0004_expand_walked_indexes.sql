-- What:  indexes that end in the order a question asks for and begin with what it asks by: one category, one regency,
--        one state. So a page costs the same at ten thousand needs and at ten million, the first as well as a deep one.
-- Phase: expand. `need` is locked against writing while they are made: about 5 s a million rows each.
--
-- A condition on a range of codes inside these (`category`, `region`) is checked in the index, without reading rows: a
-- district's needs are found in its regency's part, a category's in that of the word before its first dot.
-- Each costs an insert about 4 us of about 90.

create index need_category_walk on need
    ((split_part(category, '.', 1)), received_at, record_id, publisher_id, category);
create index need_regency_walk on need
    ((region_path[2]), received_at, record_id, publisher_id, (region collate "C"));
create index need_regency_urgency_walk on need
    ((region_path[2]), urgency, received_at, record_id, publisher_id, (region collate "C"));
create index need_urgency_walk on need (urgency, received_at, record_id, publisher_id, (region collate "C"));
create index need_state_needed_by_walk on need (state, (coalesce(needed_by, 'infinity')), record_id, publisher_id);
drop index need_urgency_total;
