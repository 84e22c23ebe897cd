-- Amounts are millionths of the currency, times microseconds since 1970 (UTC), durations seconds.
-- Words (direction, transport, ...) are those of the program's settings; see src/model/choices.rs.

-- Facts about this database: the key's check value.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Goes up with every change of what the directory holds, so that a change is found without reading it all.
CREATE TABLE directory_revision (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    value    INTEGER NOT NULL
) STRICT;
INSERT INTO directory_revision (only_row, value) VALUES (1, 1);

CREATE TABLE companies (
    id          INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    country     TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    is_verified INTEGER NOT NULL DEFAULT 0 CHECK (is_verified IN (0, 1))
) STRICT;

CREATE TABLE profiles (
    id                INTEGER NOT NULL PRIMARY KEY,
    company_id        INTEGER NOT NULL REFERENCES companies (id),
    name              TEXT    NOT NULL,
    sip_user          TEXT    NOT NULL UNIQUE,
    sealed_password   TEXT    NOT NULL,
    authentication    TEXT    NOT NULL,
    digest            TEXT    NOT NULL,
    presentation      TEXT    NOT NULL,
    srtp              TEXT    NOT NULL,
    caller_id_by_call TEXT    NOT NULL
) STRICT;
CREATE INDEX profiles_by_company ON profiles (company_id);

CREATE TABLE ip_rules (
    id         INTEGER NOT NULL PRIMARY KEY,
    profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    network    TEXT    NOT NULL,
    port       INTEGER CHECK (port BETWEEN 1 AND 65535),
    transport  TEXT    NOT NULL
) STRICT;

CREATE TABLE business_accounts (
    id         INTEGER NOT NULL PRIMARY KEY,
    company_id INTEGER NOT NULL REFERENCES companies (id),
    name       TEXT    NOT NULL UNIQUE,
    profile_id INTEGER REFERENCES profiles (id) ON DELETE SET NULL,
    extension  TEXT
) STRICT;

CREATE TABLE online_numbers (
    id                  INTEGER NOT NULL PRIMARY KEY,
    company_id          INTEGER NOT NULL REFERENCES companies (id),
    number              TEXT    NOT NULL UNIQUE,
    country             TEXT    NOT NULL,
    profile_id          INTEGER REFERENCES profiles (id) ON DELETE SET NULL,
    business_account_id INTEGER REFERENCES business_accounts (id) ON DELETE SET NULL,
    CHECK (profile_id IS NULL OR business_account_id IS NULL)
) STRICT;

CREATE TABLE landlines (
    company_id INTEGER NOT NULL REFERENCES companies (id),
    number     TEXT    NOT NULL,
    PRIMARY KEY (company_id, number)
) STRICT, WITHOUT ROWID;

-- An empty country is the default for all others.
CREATE TABLE caller_ids (
    profile_id INTEGER NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    country    TEXT    NOT NULL,
    choice     TEXT    NOT NULL CHECK (choice IN ('online_number', 'landline')),
    number     TEXT    NOT NULL,
    PRIMARY KEY (profile_id, country)
) STRICT, WITHOUT ROWID;

CREATE TABLE carriers (
    id              INTEGER NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL UNIQUE,
    host            TEXT    NOT NULL,
    port            INTEGER CHECK (port BETWEEN 1 AND 65535),
    transport       TEXT    NOT NULL,
    priority        INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 65535),
    weight          INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 65535),
    digest_user     TEXT,
    sealed_password TEXT,
    sources         TEXT    NOT NULL,
    number_format   TEXT    NOT NULL,
    strip           INTEGER NOT NULL CHECK (strip BETWEEN 0 AND 255),
    prefix          TEXT    NOT NULL,
    srtp            TEXT    NOT NULL,
    active          TEXT    NOT NULL
) STRICT;

CREATE TABLE rates (
    price_list             TEXT    NOT NULL,
    prefix                 TEXT    NOT NULL,
    destination            TEXT    NOT NULL,
    country                TEXT    NOT NULL,
    rate_per_minute_micros INTEGER NOT NULL CHECK (rate_per_minute_micros >= 0),
    connection_fee_micros  INTEGER NOT NULL CHECK (connection_fee_micros >= 0),
    minimum_s              INTEGER NOT NULL CHECK (minimum_s >= 1),
    increment_s            INTEGER NOT NULL CHECK (increment_s >= 1),
    PRIMARY KEY (price_list, prefix)
) STRICT, WITHOUT ROWID;

-- Bindings of registered PBXs, so that those on UDP survive a restart.
CREATE TABLE registrations (
    profile_id    INTEGER NOT NULL PRIMARY KEY,
    contact       TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    local         TEXT    NOT NULL,
    transport     TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    call_id       TEXT    NOT NULL,
    cseq          INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

-- The ledger. Accounts are named by what they belong to: company:1, profile:7, bundle:7:3.
CREATE TABLE accounts (
    name      TEXT    NOT NULL PRIMARY KEY,
    has_floor INTEGER NOT NULL CHECK (has_floor IN (0, 1)),
    balance   INTEGER NOT NULL,
    reserved  INTEGER NOT NULL,
    CHECK (has_floor = 0 OR (reserved >= 0 AND balance >= reserved))
) STRICT, WITHOUT ROWID;
INSERT INTO accounts (name, has_floor, balance, reserved)
VALUES ('external', 0, 0, 0), ('revenue', 0, 0, 0), ('minutes', 0, 0, 0), ('minutes_used', 0, 0, 0);

-- What the ledger knows of a profile: who pays, what is bought, when credit is refilled.
CREATE TABLE subscribers (
    profile_id                INTEGER NOT NULL PRIMARY KEY,
    company_id                INTEGER NOT NULL,
    channels                  INTEGER,
    bundles                   INTEGER,
    period                    INTEGER,
    bought_at                 INTEGER,
    paid_until                INTEGER,
    channels_price_micros     INTEGER,
    bundles_price_micros      INTEGER,
    bundle_s                  INTEGER,
    is_cancelled              INTEGER CHECK (is_cancelled IN (0, 1)),
    recharge_threshold_micros INTEGER,
    recharge_amount_micros    INTEGER,
    CHECK (bundles <= channels)
) STRICT;

-- Live calls. A row is the call's channel and the money and minutes it holds.
CREATE TABLE reservations (
    call_id                TEXT    NOT NULL PRIMARY KEY,
    owner                  TEXT    NOT NULL,
    profile_id             INTEGER NOT NULL,
    direction              TEXT    NOT NULL,
    kind                   TEXT    NOT NULL,
    from_number            TEXT    NOT NULL,
    to_number              TEXT    NOT NULL,
    destination            TEXT    NOT NULL,
    country                TEXT    NOT NULL,
    rate_per_minute_micros INTEGER,
    connection_fee_micros  INTEGER,
    minimum_s              INTEGER,
    increment_s            INTEGER,
    is_bundle_covered      INTEGER,
    started_at             INTEGER NOT NULL,
    bundle_period          INTEGER NOT NULL,
    bundle_held_s          INTEGER NOT NULL CHECK (bundle_held_s >= 0),
    credit_held_micros     INTEGER NOT NULL CHECK (credit_held_micros >= 0),
    paid_s                 INTEGER,
    answered_at            INTEGER,
    proved_s               INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_by_profile ON reservations (profile_id);

-- Every movement between accounts, for ever.
CREATE TABLE transfers (
    id           INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    from_account TEXT    NOT NULL,
    to_account   TEXT    NOT NULL,
    amount       INTEGER NOT NULL CHECK (amount > 0),
    call_id      TEXT,
    note         TEXT    NOT NULL
) STRICT;
-- Statements show the movements that are not calls; calls are found by their records.
CREATE INDEX transfers_from ON transfers (from_account, at) WHERE call_id IS NULL;
CREATE INDEX transfers_to ON transfers (to_account, at) WHERE call_id IS NULL;
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
CREATE TRIGGER transfers_are_never_deleted BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;

-- One record for every attempt, answered or not.
CREATE TABLE cdrs (
    id                     INTEGER NOT NULL PRIMARY KEY,
    call_id                TEXT    NOT NULL UNIQUE,
    profile_id             INTEGER,
    direction              TEXT    NOT NULL,
    kind                   TEXT    NOT NULL,
    from_number            TEXT    NOT NULL,
    to_number              TEXT    NOT NULL,
    destination            TEXT    NOT NULL,
    country                TEXT    NOT NULL,
    rate_per_minute_micros INTEGER,
    connection_fee_micros  INTEGER,
    minimum_s              INTEGER,
    increment_s            INTEGER,
    is_bundle_covered      INTEGER,
    started_at             INTEGER NOT NULL,
    answered_at            INTEGER,
    ended_at               INTEGER NOT NULL,
    talk_ms                INTEGER NOT NULL,
    reason_code            TEXT    NOT NULL,
    reason                 TEXT    NOT NULL,
    sip_status             INTEGER,
    caller_call_id         TEXT    NOT NULL,
    callee_call_id         TEXT    NOT NULL,
    carrier                TEXT    NOT NULL,
    user_agent             TEXT    NOT NULL,
    media                  TEXT    NOT NULL,
    duration_s             INTEGER NOT NULL,
    billed_s               INTEGER NOT NULL,
    bundle_s               INTEGER NOT NULL,
    amount_micros          INTEGER NOT NULL
) STRICT;
CREATE INDEX cdrs_by_profile ON cdrs (profile_id, started_at);
CREATE INDEX cdrs_by_time ON cdrs (started_at);
CREATE TRIGGER cdrs_are_never_changed BEFORE UPDATE ON cdrs
BEGIN SELECT RAISE(ABORT, 'call records are never changed'); END;
