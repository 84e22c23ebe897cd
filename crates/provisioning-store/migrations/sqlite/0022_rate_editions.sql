-- An edition of a price list is what one import has brought. It is written beside those in force, put in their place at
-- once when it is whole, and keeps them for a while, so that an import can be undone.
CREATE TABLE rate_editions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    price_list  TEXT    NOT NULL,
    valid_from  INTEGER NOT NULL,
    rates       INTEGER NOT NULL,
    imported_at INTEGER NOT NULL,
    imported_by TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('staged', 'valid', 'replaced', 'gone')),
    replaced_by INTEGER
) STRICT;
CREATE INDEX rate_editions_by_list ON rate_editions (price_list, state, valid_from);
INSERT INTO rate_editions (price_list, valid_from, rates, imported_at, imported_by, state)
    SELECT price_list, valid_from, COUNT(*), 0, '', 'valid' FROM rates GROUP BY price_list, valid_from;

CREATE TABLE rates_of_editions (
    edition_id             INTEGER NOT NULL,
    prefix                 TEXT    NOT NULL,
    destination            TEXT    NOT NULL,
    country                TEXT    NOT NULL,
    rate_per_minute_micros INTEGER NOT NULL CHECK (rate_per_minute_micros >= 0),
    connection_fee_micros  INTEGER NOT NULL CHECK (connection_fee_micros >= 0),
    minimum_s              INTEGER NOT NULL CHECK (minimum_s >= 1),
    increment_s            INTEGER NOT NULL CHECK (increment_s >= 1),
    PRIMARY KEY (edition_id, prefix)
) STRICT, WITHOUT ROWID;
INSERT INTO rates_of_editions SELECT e.id, r.prefix, r.destination, r.country, r.rate_per_minute_micros,
    r.connection_fee_micros, r.minimum_s, r.increment_s
    FROM rates r JOIN rate_editions e ON e.price_list = r.price_list AND e.valid_from = r.valid_from;
DROP TABLE rates;
ALTER TABLE rates_of_editions RENAME TO rates;
