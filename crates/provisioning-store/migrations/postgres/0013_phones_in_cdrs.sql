-- The company whose business account's phone it was, where a call is no profile's. Whose credit the charge was taken from;
-- nothing where there was no charge, and in records from before.
ALTER TABLE cdrs ADD COLUMN phone_company_id BIGINT;
ALTER TABLE cdrs ADD COLUMN payer TEXT COLLATE "C";
CREATE INDEX cdrs_by_phone_company ON cdrs (phone_company_id, started_at) WHERE phone_company_id IS NOT NULL;
