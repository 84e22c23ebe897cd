-- A second number is paid for, and a third one is on offer.
INSERT INTO number_stock (number, country, fee_micros, term_days)
VALUES ('+12026555376', 'US', 6000000, 30), ('+12026555377', 'US', 6000000, 30);
INSERT INTO online_numbers (company_id, number, country) VALUES (1, '+12026555376', 'US');
INSERT INTO number_leases (number_id, company_id, number, fee_micros, term_days, term, paid_until, renewal)
VALUES (2, 1, '+12026555376', 6000000, 30, 1, 1310601600000000, 'automatic');
INSERT INTO transfers (at, kind, from_account, to_account, amount, call_id, note, profile_id)
VALUES (1308009660000000, 'number_fee', 'company:1', 'revenue', 6000000, NULL, 'number +12026555376', NULL);
UPDATE accounts SET balance = balance - 6000000 WHERE name = 'company:1';
UPDATE accounts SET balance = balance + 6000000 WHERE name = 'revenue';
