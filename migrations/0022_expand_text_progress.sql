-- What:  how far the text of what events tell of is indexed.
-- Phase: expand (one row; reads the end of `event`).
--
-- Numbering and indexing were one step, so what was numbered is indexed. What is not numbered yet follows.

create table text_progress (
    singleton   boolean primary key default true check (singleton),
    indexed_seq bigint not null                             -- events up to this one are indexed, and some beyond it
);
insert into text_progress (indexed_seq) select coalesce(max(seq), 0) from event;
