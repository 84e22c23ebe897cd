-- Several price lists, each with editions that hold from a moment on. What there was has held from the beginning.
ALTER TABLE rates ADD COLUMN valid_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rates DROP CONSTRAINT rates_pkey;
ALTER TABLE rates ADD PRIMARY KEY (price_list, valid_from, prefix);

-- By which list a company's calls are rated.
ALTER TABLE companies ADD COLUMN price_list TEXT COLLATE "C" NOT NULL DEFAULT 'standard';
