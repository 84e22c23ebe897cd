-- Who has verified the company, who looks after it, and a payment that is on its way.
UPDATE companies SET verified_by = 'Ada', verified_at = 1308009600000000 WHERE id = 1;
INSERT INTO administrators (company_id, email, name, business_account_id)
VALUES (1, 'claude@example.com', 'Claude Morel', 1);
INSERT INTO company_recharges (company_id, threshold_micros, amount_micros) VALUES (1, 20000000, 100000000);
INSERT INTO payments (company_id, amount_micros, cause, state, requested_at, settled_at, word)
VALUES (1, 100000000, 'asked', 'pending', 1308009600000000, NULL, '');
