-- How a subscription goes on at its end, in the word of the program; see Renewal in src/lifecycle.rs.
ALTER TABLE subscribers ADD COLUMN renewal TEXT COLLATE "C";
UPDATE subscribers SET renewal = CASE is_cancelled WHEN 1 THEN 'cancelled' ELSE 'automatic' END
WHERE channels IS NOT NULL;
ALTER TABLE subscribers DROP COLUMN is_cancelled;
-- When a running subscription was last replaced.
ALTER TABLE subscribers ADD COLUMN changed_at BIGINT;
-- When the profile was deleted. The ledger keeps its account, whose number is never given again.
ALTER TABLE subscribers ADD COLUMN closed_at BIGINT;
CREATE INDEX subscribers_by_end ON subscribers (paid_until) WHERE closed_at IS NULL;

-- Which profile a movement is for, where it is not a call's.
ALTER TABLE transfers ADD COLUMN profile_id BIGINT;
DROP TRIGGER transfers_are_never_changed ON transfers;
UPDATE transfers SET profile_id = CAST(substr(note, 9) AS BIGINT)
WHERE kind IN ('subscription', 'refund') AND note LIKE 'profile %';
UPDATE transfers SET profile_id = CAST(substr(to_account, 9) AS BIGINT) WHERE kind IN ('allocation', 'recharge');
UPDATE transfers SET profile_id = CAST(substr(from_account, 9) AS BIGINT) WHERE kind = 'take_back';
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
FOR EACH ROW EXECUTE FUNCTION never('transfers are never changed');
CREATE INDEX transfers_of_profile ON transfers (profile_id, at) WHERE profile_id IS NOT NULL;

-- Numbers that companies pay for. A number without a row here is hosted without a fee.
CREATE TABLE number_leases (
    number_id  BIGINT NOT NULL PRIMARY KEY,
    company_id BIGINT NOT NULL,
    number     TEXT COLLATE "C" NOT NULL,
    fee_micros BIGINT NOT NULL CHECK (fee_micros >= 0),
    term_days  BIGINT NOT NULL CHECK (term_days >= 1),
    term       BIGINT NOT NULL,
    paid_until BIGINT NOT NULL,
    renewal    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX number_leases_by_end ON number_leases (paid_until);

-- Numbers on offer. A number that a company has stays here, so that it is on offer again when it comes back.
CREATE TABLE number_stock (
    number     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    country    TEXT COLLATE "C" NOT NULL,
    fee_micros BIGINT NOT NULL CHECK (fee_micros >= 0),
    term_days  BIGINT NOT NULL CHECK (term_days >= 1)
);
CREATE INDEX number_stock_by_country ON number_stock (country);
