-- A company with a trunk, what belongs to it, and two calls: one paid by credit, one by the bundle.
INSERT INTO companies (name, country, currency, is_verified) VALUES ('Architects', 'US', 'USD', 1);
INSERT INTO profiles (id, company_id, name, sip_user, sealed_password, authentication, digest, presentation, srtp,
    caller_id_by_call)
VALUES (1, 1, 'Sales', '99050000000101', '', 'registration', 'md5', 'plus_e164', 'auto', 'denied');
INSERT INTO ip_rules (profile_id, network, port, transport) VALUES (1, '192.0.2.7/32', 5060, 'udp');
INSERT INTO business_accounts (company_id, name, profile_id, extension)
VALUES (1, 'architects.sales', 1, '200');
INSERT INTO online_numbers (company_id, number, country, profile_id) VALUES (1, '+12026843376', 'US', 1);
INSERT INTO landlines (company_id, number) VALUES (1, '+12025550100');
INSERT INTO caller_ids (profile_id, country, choice, number) VALUES (1, '', 'landline', '+12025550100');
INSERT INTO carriers (name, host, port, transport, priority, weight, digest_user, sealed_password, sources,
    number_format, strip, prefix, srtp, active)
VALUES ('upstream', '198.51.100.1', 5060, 'udp', 10, 10, NULL, NULL, '', 'plus_e164', 0, '', 'off', 'on');
INSERT INTO rates (price_list, prefix, destination, country, rate_per_minute_micros, connection_fee_micros, minimum_s,
    increment_s)
VALUES ('standard', '372', 'Estonia', 'EE', 40000, 0, 30, 6);
INSERT INTO registrations (profile_id, contact, source, local, transport, user_agent, call_id, cseq, registered_at,
    expires_at)
VALUES (1, '<sip:1@192.0.2.7>', '192.0.2.7:5060', '192.0.2.1:5060', 'udp', 'Asterisk', 'a', 1, 1308009600000000,
    1308013200000000);
INSERT INTO subscribers (profile_id, company_id, channels, bundles, period, bought_at, paid_until,
    channels_price_micros, bundles_price_micros, bundle_s, is_cancelled)
VALUES (1, 1, 4, 1, 1, 1308009600000000, 1310601600000000, 27800000, 30000000, 300000, 0);
INSERT INTO transfers (at, kind, from_account, to_account, amount, call_id, note) VALUES
    (1308009600000000, 'top_up', 'external', 'company:1', 100000000, NULL, 'cheque'),
    (1308009600000000, 'subscription', 'company:1', 'revenue', 57800000, NULL, 'profile 1'),
    (1308009600000000, 'bundle_grant', 'minutes', 'bundle:1:1', 300000, NULL, ''),
    (1308009600000000, 'allocation', 'company:1', 'profile:1', 10000000, NULL, ''),
    (1308009660000000, 'call_charge', 'profile:1', 'revenue', 40000, 'a', ''),
    (1308009660000000, 'bundle_use', 'bundle:1:1', 'minutes_used', 60, 'b', '');
UPDATE accounts SET balance = CASE name WHEN 'external' THEN -100000000 WHEN 'revenue' THEN 57840000
    WHEN 'minutes' THEN -300000 ELSE 60 END;
INSERT INTO accounts (name, has_floor, balance, reserved) VALUES
    ('company:1', 1, 32200000, 0), ('profile:1', 1, 9960000, 0), ('bundle:1:1', 1, 299940, 0);
INSERT INTO cdrs (call_id, profile_id, direction, kind, from_number, to_number, destination, country,
    rate_per_minute_micros, connection_fee_micros, minimum_s, increment_s, is_bundle_covered, started_at, answered_at,
    ended_at, talk_ms, reason_code, reason, sip_status, caller_call_id, callee_call_id, carrier, user_agent, media,
    duration_s, billed_s, bundle_s, amount_micros)
VALUES
    ('a', 1, 'outgoing', 'telephone', '+12026843376', '+3726001234', 'Estonia', 'EE', 40000, 0, 30, 6, 0,
    1308009600000000, 1308009600000000, 1308009660000000, 60000, 'hung_up', 'The callee hung up.', 200, 'x', 'y',
    'upstream', 'Asterisk', 'PCMU/8000', 60, 60, 0, 40000),
    ('b', 1, 'outgoing', 'telephone', '+12026843376', '+12152751701', 'United States', 'US', 8000, 0, 30, 6, 1,
    1308009600000000, 1308009600000000, 1308009660000000, 60000, 'hung_up', 'The callee hung up.', 200, 'x', 'y',
    'upstream', 'Asterisk', 'PCMU/8000', 60, 60, 60, 0);
