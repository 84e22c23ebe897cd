-- Most calls a second that all profiles of a company may begin together. 0 is no limit; NULL, which companies from before
-- have, is none that anybody has chosen.
ALTER TABLE companies ADD COLUMN calls_per_second INTEGER CHECK (calls_per_second >= 0);
