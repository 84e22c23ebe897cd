-- Several price lists, each with editions that hold from a moment on. What there was has held from the beginning.
CREATE TABLE rates_by_edition (
    price_list             TEXT    NOT NULL,
    valid_from             INTEGER NOT NULL,
    prefix                 TEXT    NOT NULL,
    destination            TEXT    NOT NULL,
    country                TEXT    NOT NULL,
    rate_per_minute_micros INTEGER NOT NULL CHECK (rate_per_minute_micros >= 0),
    connection_fee_micros  INTEGER NOT NULL CHECK (connection_fee_micros >= 0),
    minimum_s              INTEGER NOT NULL CHECK (minimum_s >= 1),
    increment_s            INTEGER NOT NULL CHECK (increment_s >= 1),
    PRIMARY KEY (price_list, valid_from, prefix)
) STRICT, WITHOUT ROWID;
INSERT INTO rates_by_edition SELECT price_list, 0, prefix, destination, country, rate_per_minute_micros,
    connection_fee_micros, minimum_s, increment_s FROM rates;
DROP TABLE rates;
ALTER TABLE rates_by_edition RENAME TO rates;

-- By which list a company's calls are rated.
ALTER TABLE companies ADD COLUMN price_list TEXT NOT NULL DEFAULT 'standard';
