-- What:  how far an erasure is on its way out of the files, so that a sweep goes on where the one before stopped.
-- Phase: expand. `erasure` for a moment (columns without a rewrite).

-- The statistics know nothing of it any more since this transaction; rows replaced up to here are to leave the files.
alter table erasure add column forgotten_by xid8;
-- The tables are written anew, and the write-ahead log up to here may hold the bytes.
alter table erasure add column rewritten_to pg_lsn;
-- What kept the last sweep from finishing it (store/sweep.py).
alter table erasure add column waits_for text;
