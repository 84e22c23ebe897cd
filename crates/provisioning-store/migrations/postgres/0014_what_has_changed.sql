-- The directory's revision at which a company's part of it was changed last, and the one at which the rates were: who knows
-- an older revision reads only what is new. What belongs to a company, and what is on offer in a country, is found without
-- reading everybody's.
ALTER TABLE companies ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX companies_by_revision ON companies (revision);
ALTER TABLE directory_revision ADD COLUMN of_rates BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ip_rules_by_profile ON ip_rules (profile_id);
CREATE INDEX business_accounts_by_company ON business_accounts (company_id);
CREATE INDEX business_accounts_by_profile ON business_accounts (profile_id) WHERE profile_id IS NOT NULL;
CREATE INDEX online_numbers_by_company ON online_numbers (company_id);
CREATE INDEX online_numbers_by_profile ON online_numbers (profile_id) WHERE profile_id IS NOT NULL;
CREATE INDEX online_numbers_by_account ON online_numbers (business_account_id) WHERE business_account_id IS NOT NULL;
CREATE INDEX landlines_by_number ON landlines (number);
DROP INDEX number_stock_by_country;
CREATE INDEX number_stock_by_country ON number_stock (country, number);
