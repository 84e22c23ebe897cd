-- How a subscription goes on at its end, in the word of the program; see Renewal in src/lifecycle.rs.
ALTER TABLE subscribers ADD COLUMN renewal TEXT;
UPDATE subscribers SET renewal = CASE is_cancelled WHEN 1 THEN 'cancelled' ELSE 'automatic' END
WHERE channels IS NOT NULL;
ALTER TABLE subscribers DROP COLUMN is_cancelled;
-- When a running subscription was last replaced.
ALTER TABLE subscribers ADD COLUMN changed_at INTEGER;
-- When the profile was deleted. The ledger keeps its account, whose number is never given again.
ALTER TABLE subscribers ADD COLUMN closed_at INTEGER;
CREATE INDEX subscribers_by_end ON subscribers (paid_until) WHERE closed_at IS NULL;

-- Which profile a movement is for, where it is not a call's.
ALTER TABLE transfers ADD COLUMN profile_id INTEGER;
DROP TRIGGER transfers_are_never_changed;
UPDATE transfers SET profile_id = CAST(substr(note, 9) AS INTEGER)
WHERE kind IN ('subscription', 'refund') AND note LIKE 'profile %';
UPDATE transfers SET profile_id = CAST(substr(to_account, 9) AS INTEGER) WHERE kind IN ('allocation', 'recharge');
UPDATE transfers SET profile_id = CAST(substr(from_account, 9) AS INTEGER) WHERE kind = 'take_back';
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
CREATE INDEX transfers_of_profile ON transfers (profile_id, at) WHERE profile_id IS NOT NULL;

-- Numbers that companies pay for. A number without a row here is hosted without a fee.
CREATE TABLE number_leases (
    number_id  INTEGER NOT NULL PRIMARY KEY,
    company_id INTEGER NOT NULL,
    number     TEXT    NOT NULL,
    fee_micros INTEGER NOT NULL CHECK (fee_micros >= 0),
    term_days  INTEGER NOT NULL CHECK (term_days >= 1),
    term       INTEGER NOT NULL,
    paid_until INTEGER NOT NULL,
    renewal    TEXT    NOT NULL
) STRICT;
CREATE INDEX number_leases_by_end ON number_leases (paid_until);

-- Numbers on offer. A number that a company has stays here, so that it is on offer again when it comes back.
CREATE TABLE number_stock (
    number     TEXT    NOT NULL PRIMARY KEY,
    country    TEXT    NOT NULL,
    fee_micros INTEGER NOT NULL CHECK (fee_micros >= 0),
    term_days  INTEGER NOT NULL CHECK (term_days >= 1)
) STRICT, WITHOUT ROWID;
CREATE INDEX number_stock_by_country ON number_stock (country);
