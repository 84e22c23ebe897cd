-- Who has verified a company, and when.
ALTER TABLE companies ADD COLUMN verified_by TEXT;
ALTER TABLE companies ADD COLUMN verified_at INTEGER;

-- People who look after a company, and the business account that each uses in person.
CREATE TABLE administrators (
    company_id          INTEGER NOT NULL REFERENCES companies (id),
    email               TEXT    NOT NULL,
    name                TEXT    NOT NULL,
    business_account_id INTEGER REFERENCES business_accounts (id) ON DELETE SET NULL,
    PRIMARY KEY (company_id, email)
) STRICT, WITHOUT ROWID;

-- With these a business account that no profile has registers a phone; without a password it cannot.
ALTER TABLE business_accounts ADD COLUMN sealed_password TEXT;

-- Companies whose credit is refilled through the payment source.
CREATE TABLE company_recharges (
    company_id       INTEGER NOT NULL PRIMARY KEY REFERENCES companies (id),
    threshold_micros INTEGER NOT NULL CHECK (threshold_micros > 0),
    amount_micros    INTEGER NOT NULL CHECK (amount_micros > 0)
) STRICT;

-- What was asked of the payment source. Only what was paid is in the ledger.
CREATE TABLE payments (
    id            INTEGER NOT NULL PRIMARY KEY,
    company_id    INTEGER NOT NULL REFERENCES companies (id),
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    cause         TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    requested_at  INTEGER NOT NULL,
    settled_at    INTEGER,
    word          TEXT    NOT NULL
) STRICT;
CREATE INDEX payments_by_company ON payments (company_id, id);
