-- An administrator's token, something done with it, and an answer that is kept.
INSERT INTO tokens (name, company_id, hash, created_at) VALUES ('console', 1, 'ab', 1308009600000000);
INSERT INTO audit (at, actor, origin, company_id, action, detail)
VALUES (1308009600000000, 'token 1 (console)', '192.0.2.1', 1, 'POST /api/v1/profiles', '{}');
INSERT INTO answers (owner, key, fingerprint, asked_at, status, body)
VALUES ('token 1 (console)', 'a', 'b', 1308009600000000, 201, '{}');
