-- What:  how far an erasure is on its way out of the files, so that a sweep goes on where the one before stopped; and up
--        to which entry a deposited backup goes, so that those from before an erasure are known.
-- Phase: expand. `erasure` and `backup_sent` for a moment (columns without a rewrite).

-- The statistics know nothing of it any more since this transaction; rows replaced up to here are to leave the files.
alter table erasure add column forgotten_by xid8;
-- The tables are written anew, and the write-ahead log up to here may hold the bytes.
alter table erasure add column rewritten_to pg_lsn;
-- The segments of then are gone; up to this one they may have been reused under later names and not written over yet.
alter table erasure add column reused_to text;
-- What kept the last sweep from finishing it (store/sweep.py).
alter table erasure add column waits_for text;

alter table backup_sent add column size bigint not null default 0;     -- of the log, when that backup was made
