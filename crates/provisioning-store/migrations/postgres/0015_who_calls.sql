-- Whether a PBX is told callers' names, whether a carrier is told who calls where the number is withheld, and whether the
-- called side must not learn who called.
ALTER TABLE profiles ADD COLUMN caller_name TEXT COLLATE "C" NOT NULL DEFAULT 'on' CHECK (caller_name IN ('on', 'off'));
ALTER TABLE carriers ADD COLUMN trust TEXT COLLATE "C" NOT NULL DEFAULT 'trusted' CHECK (trust IN ('trusted', 'untrusted'));
ALTER TABLE reservations ADD COLUMN is_withheld BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cdrs ADD COLUMN is_withheld BIGINT NOT NULL DEFAULT 0;
