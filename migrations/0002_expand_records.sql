-- What:  the projections: one table a record type, and the text-search side tables.
-- Phase: expand (creates only).
--
-- The first ten columns are the same in every record table (store/records.py relies on it):
-- state = f(entries, payloads, as_of), rebuilt at any time from the logs.

create text search configuration gotong_indonesian (copy = indonesian);
alter text search configuration gotong_indonesian
    alter mapping for hword, hword_part, word, asciihword, hword_asciipart, asciiword with unaccent, indonesian_stem;
create text search configuration gotong_english (copy = english);
alter text search configuration gotong_english
    alter mapping for hword, hword_part, word, asciihword, hword_asciipart, asciiword with unaccent, english_stem;

create table organization (
    publisher_id     integer not null references participant (id),
    record_id        uuid not null,
    revision         integer not null,
    log_id           integer not null,
    index            bigint not null,
    published_at     timestamptz not null,
    revised_at       timestamptz not null,
    received_at      timestamptz not null,
    next_due_at      timestamptz,
    exercise         boolean not null,
    slug             text not null,
    name_text        jsonb not null,
    kind             text not null,
    description_text jsonb,
    focus            text[] not null,
    founded_on       text,
    member_band      text,
    region           text not null,
    region_path      text[] not null,
    lat              double precision,
    lon              double precision,
    precision_m      integer,
    place_edition    text,
    languages        text[] not null,
    parent_uri       text,
    links            jsonb,
    external_ids     text[] not null,
    search_text      text not null,
    doc              jsonb not null,
    primary key (publisher_id, record_id),
    unique (publisher_id)
);
create index organization_received on organization (received_at, record_id);
create index organization_kind on organization (kind, received_at, record_id);
create index organization_slug on organization (slug);

create table activity (
    publisher_id     integer not null references participant (id),
    record_id        uuid not null,
    revision         integer not null,
    log_id           integer not null,
    index            bigint not null,
    published_at     timestamptz not null,
    revised_at       timestamptz not null,
    received_at      timestamptz not null,
    next_due_at      timestamptz,
    exercise         boolean not null,
    title_text       jsonb not null,
    description_text jsonb,
    starts_at        timestamptz not null,
    ends_at          timestamptz,
    zone             text not null,
    region           text not null,
    region_path      text[] not null,
    lat              double precision,
    lon              double precision,
    precision_m      integer,
    place_edition    text,
    status           text not null,
    programme        text,
    attendance       integer,
    outcome          jsonb,
    recurrence       text,
    external_ids     text[] not null,
    search_text      text not null,
    doc              jsonb not null,
    primary key (publisher_id, record_id)
);
create index activity_received on activity (received_at, record_id);
create index activity_publisher on activity (publisher_id, received_at, record_id);
create index activity_starts on activity (starts_at, record_id);

create table need (
    publisher_id     integer not null references participant (id),
    record_id        uuid not null,
    revision         integer not null,
    log_id           integer not null,
    index            bigint not null,
    published_at     timestamptz not null,
    revised_at       timestamptz not null,
    received_at      timestamptz not null,
    next_due_at      timestamptz,
    exercise         boolean not null,
    title_text       jsonb not null,
    description_text jsonb,
    kind             text not null,
    category         text not null,
    quantity_value   numeric,
    quantity_unit    text,
    money_amount     numeric,
    money_currency   text,
    minimum_value    numeric,
    urgency          smallint not null,
    modes            text[] not null,
    region           text not null,
    region_path      text[] not null,
    lat              double precision,
    lon              double precision,
    precision_m      integer,
    place_edition    text,
    needed_by        timestamptz,
    expires_at       timestamptz not null,
    confirmed_at     timestamptz,
    state            text not null,
    permit           text,
    recipient        text,
    beneficiaries    text,
    external_ids     text[] not null,
    search_text      text not null,
    doc              jsonb not null,
    primary key (publisher_id, record_id)
);
create index need_received on need (received_at, record_id);
create index need_published on need (published_at, record_id);
create index need_publisher on need (publisher_id, received_at, record_id);
create index need_category on need (category, received_at, record_id);
create index need_needed_by on need (needed_by, record_id) where needed_by is not null;
create index need_urgency on need (urgency, received_at, record_id);
create index need_region on need using gin (region_path);
create index need_due on need (next_due_at) where next_due_at is not null;

create table update_post (
    publisher_id    integer not null references participant (id),
    record_id       uuid not null,
    revision        integer not null,
    log_id          integer not null,
    index           bigint not null,
    published_at    timestamptz not null,
    revised_at      timestamptz not null,
    received_at     timestamptz not null,
    next_due_at     timestamptz,
    exercise        boolean not null,
    about_uri       text not null,
    about_publisher text not null,
    about_type      text,
    about_id        uuid,
    about_leaf      bytea,
    body_text       jsonb not null,
    media           text[] not null,
    external_ids    text[] not null,
    search_text     text not null,
    doc             jsonb not null,
    primary key (publisher_id, record_id)
);
create index update_post_received on update_post (received_at, record_id);
create index update_post_publisher on update_post (publisher_id, received_at, record_id);
create index update_post_about on update_post (about_uri, received_at, record_id);

-- Full text is most of an insert's cost, so it is indexed right after the commit, by the sequencer.
create table need_search (
    publisher_id integer not null,
    record_id    uuid not null,
    region_path  text[] not null,
    document     tsvector not null,
    primary key (publisher_id, record_id)
);
create index need_search_text on need_search using gin (region_path, document);

create table activity_search (
    publisher_id integer not null,
    record_id    uuid not null,
    region_path  text[] not null,
    document     tsvector not null,
    primary key (publisher_id, record_id)
);
create index activity_search_text on activity_search using gin (region_path, document);

create table organization_search (
    publisher_id integer not null,
    record_id    uuid not null,
    region_path  text[] not null,
    document     tsvector not null,
    primary key (publisher_id, record_id)
);
create index organization_search_text on organization_search using gin (region_path, document);
