-- What:  drops erasure.executed_by, by which sweeps knew who may still see what was deleted; `forgotten_by` of 0016 says
--        it better, and nothing has read this one since.
-- Phase: contract (code from before 0016 read it). The table is locked for a moment; no row is written anew.

alter table erasure drop column executed_by;
