-- Who may use the HTTP API. Only a token's hash is kept; more random than any key of a cipher, it is not found by guessing.
CREATE TABLE tokens (
    id         INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    -- Whose administrator it makes; an operator's has none.
    company_id INTEGER REFERENCES companies (id) ON DELETE CASCADE,
    hash       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX tokens_by_company ON tokens (company_id);

-- Who changed what, when and from where. An entry is written by the transaction of the change itself. The company is no
-- reference: what was done to one that is gone stays on record.
CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    company_id INTEGER,
    action     TEXT    NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_company ON audit (company_id, id);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is never deleted'); END;

-- Idempotency keys. The row is written by the transaction of the change; its answer follows when there is one.
CREATE TABLE answers (
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    asked_at    INTEGER NOT NULL,
    status      INTEGER,
    body        TEXT,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (asked_at);
