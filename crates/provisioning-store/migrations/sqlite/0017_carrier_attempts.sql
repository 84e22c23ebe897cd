-- Each attempt to reach a carrier as JSON, in order: a record is read whole and never changed. The Q.850 cause that the caller
-- was told; nothing in records from before.
ALTER TABLE cdrs ADD COLUMN attempts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE cdrs ADD COLUMN cause INTEGER;
