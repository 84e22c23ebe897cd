//! Every statement that is not put together from parts, in the dialect that both databases share.

/// The columns that a live call and its record share.
macro_rules! attempt_columns {
    () => {
        "direction, kind, from_number, is_withheld, to_number, destination, country, rate_per_minute_micros, \
         connection_fee_micros, minimum_s, increment_s, is_bundle_covered, started_at"
    };
}

/// A live call's columns for reading.
macro_rules! live_call {
    () => {
        concat!(
            "SELECT call_id, profile_id, ",
            attempt_columns!(),
            ", bundle_period, bundle_held_s, payer, credit_held_micros, paid_s, answered_at, proved_s, known FROM reservations WHERE "
        )
    };
}

/// What a profile has spent in the latest windows.
macro_rules! spending_columns {
    () => {
        "w.hour, w.hour_spent_micros, w.hour_forgiven_micros, w.is_hour_warned, \
         w.day, w.day_spent_micros, w.day_forgiven_micros, w.is_day_warned"
    };
}

/// What the ledger knows of a profile, for reading: `s` is its subscriber, `w` its spending.
macro_rules! subscriber_columns {
    () => {
        concat!(
            "s.profile_id, s.company_id, s.channels, s.bundles, s.period, s.bought_at, s.paid_until, \
             s.channels_price_micros, s.bundles_price_micros, s.bundle_s, s.renewal, s.changed_at, s.closed_at, \
             s.recharge_threshold_micros, s.recharge_amount_micros, s.spend_guard, ",
            spending_columns!()
        )
    };
}

/// A profile with what the ledger knows of it; conditions and order follow.
macro_rules! profile_columns {
    () => {
        concat!(
            "SELECT p.id, p.name, p.sip_user, p.authentication, p.digest, p.presentation, p.srtp, p.caller_id_by_call, \
             p.caller_name, p.suspended_at, p.suspended_for, ",
            subscriber_columns!(),
            ", a.balance AS credit_micros, a.reserved AS reserved_micros, COALESCE(b.balance, 0) AS bundle_left_s, \
             (SELECT COUNT(*) FROM reservations r WHERE r.profile_id = p.id) AS channels_in_use, \
             (SELECT CAST(COALESCE(SUM(h.credit_held_micros), 0) AS BIGINT) FROM holds h WHERE h.profile_id = p.id) \
             AS on_hand_micros \
             FROM profiles p \
             JOIN subscribers s ON s.profile_id = p.id \
             LEFT JOIN spending w ON w.profile_id = p.id \
             JOIN accounts a ON a.name = 'profile:' || p.id \
             LEFT JOIN accounts b ON b.name = 'bundle:' || p.id || ':' || s.period "
        )
    };
}

/// A number's terms: `l` is its lease.
macro_rules! lease_columns {
    () => {
        "l.number_id, l.company_id, l.number, l.fee_micros, l.term_days, l.term, l.paid_until, l.renewal"
    };
}

/// An address or range that a profile is let in from; conditions and order follow.
macro_rules! ip_rule {
    () => {
        "SELECT id, profile_id, network, port, transport, certificate, state FROM ip_rules "
    };
}

/// An Online Number with its terms; conditions and order follow.
macro_rules! number {
    () => {
        "SELECT n.id, n.company_id, n.number, n.country, n.profile_id, n.business_account_id, \
         l.fee_micros, l.term_days, l.term, l.paid_until, l.renewal \
         FROM online_numbers n LEFT JOIN number_leases l ON l.number_id = n.id "
    };
}

/// Subscriptions that go on in one of these ways and have ended.
macro_rules! due_period {
    ($renewals:literal) => {
        concat!(
            "SELECT profile_id, company_id, period, paid_until, renewal FROM subscribers \
             WHERE closed_at IS NULL AND renewal IN (",
            $renewals,
            ") AND paid_until <= $1 ORDER BY paid_until LIMIT $2"
        )
    };
}

/// Numbers whose term has ended, with their companies' credit.
macro_rules! due_term {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            lease_columns!(),
            ", a.balance - a.reserved AS credit_micros FROM number_leases l \
             JOIN accounts a ON a.name = 'company:' || l.company_id \
             WHERE l.paid_until <= $1 AND ",
            $condition,
            " ORDER BY l.paid_until LIMIT $2"
        )
    };
}

/// Profiles in order.
macro_rules! profile {
    ($rest:literal) => {
        concat!(profile_columns!(), $rest, " ORDER BY p.id")
    };
}

/// A company with its credit; conditions and order follow.
macro_rules! company_columns {
    () => {
        "SELECT c.id, c.name, c.country, c.currency, c.is_verified, c.verified_by, c.verified_at, c.price_list, \
         c.calls_per_second, c.suspended_at, c.suspended_for, \
         a.balance AS credit_micros \
         FROM companies c JOIN accounts a ON a.name = 'company:' || c.id "
    };
}

/// Companies in order.
macro_rules! company {
    ($rest:literal) => {
        concat!(company_columns!(), $rest, " ORDER BY c.id")
    };
}

/// A business account; conditions and order follow.
macro_rules! business_account {
    () => {
        "SELECT id, company_id, name, profile_id, extension FROM business_accounts "
    };
}

/// Says at which revision the part of some companies has changed.
macro_rules! mark {
    ($whose:literal) => {
        concat!(
            "UPDATE companies SET revision = (SELECT value FROM directory_revision WHERE only_row = 1) WHERE id ",
            $whose
        )
    };
}

// The ledger.
pub(super) const LIVE_CALLS_IN: &str = concat!(live_call!(), "call_id IN");
pub(super) const LIVE_CALLS_OF_OWNER: &str = concat!(live_call!(), "owner = $1 ORDER BY call_id");
pub(super) const SETTLEMENTS_IN: &str =
    "SELECT call_id, duration_s, billed_s, bundle_s, amount_micros, payer FROM cdrs WHERE call_id IN";
pub(super) const SUBSCRIBERS_IN: &str = concat!(
    "SELECT ",
    subscriber_columns!(),
    " FROM subscribers s LEFT JOIN spending w ON w.profile_id = s.profile_id WHERE s.profile_id IN"
);
pub(super) const ACCOUNTS_IN: &str = "SELECT name, balance, reserved FROM accounts WHERE name IN";
pub(super) const LEASES_IN: &str =
    "SELECT profile_id, COUNT(*) AS calls FROM reservations WHERE profile_id IN";
pub(super) const DIALLED_IN: &str = "SELECT profile_id, country, COUNT(*) FROM reservations \
     WHERE direction = 'outgoing' AND kind = 'telephone' AND profile_id IN";
pub(super) const ALL_ACCOUNTS: &str = "SELECT name, balance, reserved FROM accounts";
pub(super) const TRANSFER_SUMS: &str = "SELECT name, CAST(SUM(amount) AS BIGINT) FROM \
     (SELECT to_account AS name, amount FROM transfers UNION ALL SELECT from_account, -amount FROM transfers) AS moved \
     GROUP BY name";
/// Calls whose record is not what was transferred for them, with an account that was charged.
pub(super) const CHARGES_NOT_RECORDED: &str = "SELECT call_id, CAST(SUM(r) AS BIGINT) AS recorded, \
     CAST(SUM(c) AS BIGINT) AS charged, CAST(SUM(rs) AS BIGINT) AS recorded_s, CAST(SUM(cs) AS BIGINT) AS charged_s, \
     MAX(a) AS account FROM \
     (SELECT call_id, amount_micros AS r, 0 AS c, bundle_s AS rs, 0 AS cs, '' AS a \
     FROM cdrs WHERE amount_micros > 0 OR bundle_s > 0 UNION ALL \
     SELECT call_id, 0, amount, 0, 0, from_account FROM transfers WHERE kind = 'call_charge' UNION ALL \
     SELECT call_id, 0, 0, 0, amount, from_account FROM transfers WHERE kind = 'bundle_use') AS both_sides \
     GROUP BY call_id HAVING SUM(r) <> SUM(c) OR SUM(rs) <> SUM(cs)";
pub(super) const CLOSED_PROFILES: &str = "SELECT profile_id FROM subscribers WHERE closed_at IS NOT NULL";
pub(super) const HELD: &str = "SELECT profile_id, bundle_period, CAST(SUM(credit_held_micros) AS BIGINT), \
     CAST(SUM(bundle_held_s) AS BIGINT) FROM \
     (SELECT profile_id, bundle_period, credit_held_micros, bundle_held_s FROM reservations UNION ALL \
     SELECT profile_id, bundle_period, credit_held_micros, bundle_held_s FROM holds) AS held \
     GROUP BY profile_id, bundle_period";
pub(super) const HOLDS_IN: &str =
    "SELECT profile_id, bundle_period, bundle_held_s, credit_held_micros FROM holds WHERE owner = ";
pub(super) const HOLDS_OF_OWNER: &str = "SELECT profile_id, bundle_period, bundle_held_s, credit_held_micros FROM holds WHERE owner = $1 ORDER BY profile_id";

// What falls due.
pub(super) const PERIODS_DUE: &str = due_period!("'automatic', 'cancelled'");
pub(super) const PROFILES_DUE: &str = due_period!("'unpaid', 'expired'");
pub(super) const TERMS_DUE: &str =
    due_term!("(l.renewal <> 'unpaid' OR a.balance - a.reserved >= l.fee_micros)");
pub(super) const RELEASES_DUE: &str =
    due_term!("l.renewal = 'unpaid' AND a.balance - a.reserved < l.fee_micros");

// Numbers' terms.
pub(super) const LEASES_OF_NUMBERS_IN: &str =
    concat!("SELECT ", lease_columns!(), " FROM number_leases l WHERE l.number_id IN");
pub(super) const INSERT_NUMBER_LEASES: &str = "INSERT INTO number_leases (number_id, company_id, number, fee_micros, term_days, term, paid_until, renewal) ";
pub(super) const UPDATE_NUMBER_LEASES: &str = " ON CONFLICT (number_id) DO UPDATE SET \
     company_id = excluded.company_id, number = excluded.number, fee_micros = excluded.fee_micros, \
     term_days = excluded.term_days, term = excluded.term, paid_until = excluded.paid_until, renewal = excluded.renewal";
pub(super) const DELETE_NUMBER_LEASES_IN: &str = "DELETE FROM number_leases WHERE number_id IN";
pub(super) const DELETE_NUMBER_LEASE: &str = "DELETE FROM number_leases WHERE number_id = $1";
pub(super) const DELETE_NUMBERS_IN: &str = "DELETE FROM online_numbers WHERE id IN";

// Records.
pub(super) const CDRS: &str = concat!(
    "SELECT call_id, profile_id, phone_company_id, ",
    attempt_columns!(),
    ", answered_at, ended_at, talk_ms, reason_code, reason, sip_status, caller_call_id, callee_call_id, carrier, \
     attempts, cause, user_agent, media, duration_s, billed_s, bundle_s, amount_micros, payer FROM cdrs"
);
pub(super) const COUNT_CDRS: &str = "SELECT COUNT(*) FROM cdrs";

// The database itself.
pub(super) const SET_META: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const META: &str = "SELECT value FROM meta WHERE name = $1";
pub(super) const INSERT_META: &str =
    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

// The directory's revision.
pub(super) const REVISION: &str = "SELECT value, of_rates FROM directory_revision WHERE only_row = 1";
pub(super) const RAISE_REVISION: &str = "UPDATE directory_revision SET value = value + 1 WHERE only_row = 1";
pub(super) const MARK_RATES: &str = "UPDATE directory_revision SET of_rates = value WHERE only_row = 1";
pub(super) const MARK_COMPANY: &str = mark!("= $1");
pub(super) const MARK_COMPANY_OF_ACCOUNT: &str =
    mark!("= (SELECT company_id FROM business_accounts WHERE id = $1)");
pub(super) const MARK_COMPANY_OF_PROFILE: &str = mark!("= (SELECT company_id FROM profiles WHERE id = $1)");
pub(super) const MARK_COMPANY_OF_IP_RULE: &str =
    mark!("= (SELECT p.company_id FROM ip_rules r JOIN profiles p ON p.id = r.profile_id WHERE r.id = $1)");
pub(super) const MARK_COMPANIES_OF_LANDLINE: &str =
    mark!("IN (SELECT company_id FROM landlines WHERE number = $1)");
pub(super) const MARK_COMPANIES_OF_NUMBERS_IN: &str =
    mark!("IN (SELECT company_id FROM online_numbers WHERE id IN");
pub(super) const MARK_COMPANIES: &str = mark!("");
pub(super) const COMPANIES_CHANGED_SINCE: &str = "SELECT id FROM companies WHERE revision > $1 ORDER BY id";

// What a company has of each kind.
pub(super) const COUNT_PROFILES: &str =
    "SELECT COUNT(*) FROM subscribers WHERE company_id = $1 AND (closed_at IS NULL OR closed_at > $2)";
pub(super) const COUNT_IP_RULES: &str = "SELECT COUNT(*) FROM ip_rules WHERE profile_id = $1";
pub(super) const COUNT_NUMBERS: &str = "SELECT COUNT(*) FROM online_numbers WHERE company_id = $1";
pub(super) const COUNT_ACCOUNTS: &str = "SELECT COUNT(*) FROM business_accounts WHERE company_id = $1";
pub(super) const COUNT_ADMINISTRATORS: &str =
    "SELECT COUNT(*) FROM administrators WHERE company_id = $1 AND email <> $2";
pub(super) const COUNT_LANDLINES: &str =
    "SELECT COUNT(*) FROM landlines WHERE company_id = $1 AND number <> $2";
pub(super) const COUNT_TOKENS: &str = "SELECT COUNT(*) FROM tokens WHERE company_id = $1 AND (created_at > $3 OR \
     (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)))";
pub(super) const COUNT_PENDING_PAYMENTS: &str =
    "SELECT COUNT(*) FROM payments WHERE company_id = $1 AND state = 'pending'";

// Companies.
pub(super) const INSERT_COMPANY: &str =
    "INSERT INTO companies (name, country, currency, calls_per_second) VALUES ($1, $2, $3, $4) RETURNING id";
pub(super) const GUARDS: &str =
    "SELECT spend_guard, COUNT(*) FROM subscribers WHERE closed_at IS NULL GROUP BY spend_guard";
pub(super) const COMPANIES_WITHOUT_CALL_RATE: &str =
    "SELECT COUNT(*) FROM companies WHERE calls_per_second IS NULL";
pub(super) const COMPANIES_NAMED: &str =
    "SELECT COUNT(*) FROM companies WHERE LOWER(name) = LOWER($1) AND id <> $2";
pub(super) const RENAME_COMPANY: &str = "UPDATE companies SET name = $2 WHERE id = $1";
pub(super) const SUSPEND_COMPANY: &str =
    "UPDATE companies SET suspended_at = $2, suspended_for = $3 WHERE id = $1";
pub(super) const SUSPEND_PROFILE: &str =
    "UPDATE profiles SET suspended_at = $2, suspended_for = $3 WHERE id = $1";
pub(super) const SET_CALLS_PER_SECOND: &str = "UPDATE companies SET calls_per_second = $2 WHERE id = $1";
pub(super) const COMPANIES_THAT: &str = concat!(company_columns!(), "WHERE 1 = 1");
pub(super) const COMPANY: &str = company!("WHERE c.id = $1");
pub(super) const COUNTRY_OF_COMPANY: &str = "SELECT country FROM companies WHERE id = $1";
pub(super) const VERIFY_COMPANY: &str =
    "UPDATE companies SET is_verified = $2, verified_by = $3, verified_at = $4 WHERE id = $1";
pub(super) const INSERT_LANDLINE: &str = "INSERT INTO landlines (company_id, number, verified_by, verified_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (company_id, number) DO UPDATE SET verified_by = COALESCE(excluded.verified_by, landlines.verified_by), \
     verified_at = COALESCE(excluded.verified_at, landlines.verified_at) \
     RETURNING company_id, number, verified_by, verified_at";
/// An Online Number here, or what another company has proved to be its own.
pub(super) const LANDLINE_IS_TAKEN: &str = "SELECT COUNT(*) FROM (SELECT number FROM online_numbers WHERE number = $2 \
     UNION ALL SELECT number FROM landlines WHERE number = $2 AND company_id <> $1 AND verified_by IS NOT NULL) AS taken";
/// What is hosted here is nobody's landline any more.
pub(super) const DELETE_LANDLINES_LIKE: &str = "DELETE FROM landlines WHERE number = $1";
pub(super) const LANDLINES_OF_COMPANY: &str = "SELECT company_id, number, verified_by, verified_at FROM landlines WHERE company_id = $1 ORDER BY number";
pub(super) const LANDLINES_THAT: &str =
    "SELECT company_id, number, verified_by, verified_at FROM landlines WHERE 1 = 1";
pub(super) const DELETE_LANDLINE: &str = "DELETE FROM landlines WHERE company_id = $1 AND number = $2";
/// No profile shows what its company has no longer stored.
pub(super) const FORGET_LOST_LANDLINES: &str = "DELETE FROM caller_ids WHERE choice = 'landline' AND NOT EXISTS \
     (SELECT 1 FROM landlines l JOIN profiles p ON p.company_id = l.company_id \
     WHERE p.id = caller_ids.profile_id AND l.number = caller_ids.number)";
/// Of a landline number that a profile's company has stored, who was verified: 1 the company, 2 the number, 3 both.
pub(super) const LANDLINE_OF_PROFILE: &str = "SELECT c.is_verified + CASE WHEN l.verified_by IS NULL THEN 0 ELSE 2 END FROM landlines l \
     JOIN profiles p ON p.company_id = l.company_id JOIN companies c ON c.id = l.company_id \
     WHERE p.id = $1 AND l.number = $2";

// Reports.
pub(super) const USAGE: &str = "SELECT destination, COUNT(*) AS calls, CAST(SUM(duration_s) AS BIGINT) AS duration_s, \
     CAST(SUM(billed_s) AS BIGINT) AS billed_s, CAST(SUM(bundle_s) AS BIGINT) AS bundle_s, \
     CAST(SUM(amount_micros) AS BIGINT) AS amount_micros FROM cdrs \
     WHERE profile_id = $1 AND started_at >= $2 AND started_at < $3 AND answered_at IS NOT NULL \
     AND direction = 'outgoing' GROUP BY destination ORDER BY destination";
/// Calls are found by their records, and their transfers by the calls.
pub(super) const LEDGER_USAGE: &str = "SELECT \
     CAST(COALESCE(SUM(CASE WHEN t.kind = 'call_charge' THEN t.amount ELSE 0 END), 0) AS BIGINT), \
     CAST(COALESCE(SUM(CASE WHEN t.kind = 'bundle_use' THEN t.amount ELSE 0 END), 0) AS BIGINT) \
     FROM transfers t WHERE t.call_id IN \
     (SELECT call_id FROM cdrs WHERE profile_id = $1 AND started_at >= $2 AND started_at < $3)";
/// Calls whose bundle is used up draw on the company's credit minute by minute, and give back what they do not need: of these
/// there is one row for each day and profile, and none if all of it was given back.
macro_rules! one_overflow_a_day {
    ($source:literal) => {
        concat!(
            "SELECT MAX(id), MAX(at), kind, CAST(SUM(amount) AS BIGINT), profile_id, '' FROM (",
            $source,
            ") AS overflow GROUP BY kind, profile_id, at / 86400000000 HAVING SUM(amount) <> 0"
        )
    };
}
pub(super) const ALLOCATIONS: &str = concat!(
    "SELECT at, kind, amount, profile_id, note FROM (SELECT id, at, kind, amount, profile_id, note FROM transfers \
     WHERE profile_id = $1 AND at >= $2 AND at < $3 \
     AND kind NOT IN ('bundle_grant', 'bundle_expiry', 'bundle_overflow') UNION ALL ",
    one_overflow_a_day!(
        "SELECT id, at, kind, CASE WHEN to_account LIKE 'company:%' THEN -amount ELSE amount END AS amount, profile_id \
         FROM transfers WHERE profile_id = $1 AND at >= $2 AND at < $3 AND kind = 'bundle_overflow'"
    ),
    ") AS moved ORDER BY at, id"
);
pub(super) const BALANCE_BEFORE: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM \
     (SELECT amount FROM transfers WHERE call_id IS NULL AND to_account = $1 AND at < $2 UNION ALL \
     SELECT -amount FROM transfers WHERE call_id IS NULL AND from_account = $1 AND at < $2) AS moved";
pub(super) const MOVEMENTS: &str = concat!(
    "SELECT at, kind, amount, profile_id, note FROM \
     (SELECT id, at, kind, amount, profile_id, note FROM transfers \
     WHERE call_id IS NULL AND to_account = $1 AND at >= $2 AND at < $3 AND kind <> 'bundle_overflow' UNION ALL \
     SELECT id, at, kind, -amount, profile_id, note FROM transfers \
     WHERE call_id IS NULL AND from_account = $1 AND at >= $2 AND at < $3 AND kind <> 'bundle_overflow' UNION ALL ",
    one_overflow_a_day!(
        "SELECT id, at, kind, amount, profile_id FROM transfers \
         WHERE call_id IS NULL AND to_account = $1 AND at >= $2 AND at < $3 AND kind = 'bundle_overflow' UNION ALL \
         SELECT id, at, kind, -amount, profile_id FROM transfers \
         WHERE call_id IS NULL AND from_account = $1 AND at >= $2 AND at < $3 AND kind = 'bundle_overflow'"
    ),
    ") AS moved ORDER BY at, id"
);

// Payments.
macro_rules! payment {
    ($($rest:literal)?) => {
        concat!(
            "SELECT id, company_id, amount_micros, cause, state, requested_at, settled_at, word FROM payments "
            $(, $rest)?
        )
    };
}
pub(super) const COMPANY_RECHARGE: &str =
    "SELECT threshold_micros, amount_micros FROM company_recharges WHERE company_id = $1";
pub(super) const SET_COMPANY_RECHARGE: &str = "INSERT INTO company_recharges (company_id, threshold_micros, amount_micros) \
     VALUES ($1, $2, $3) ON CONFLICT (company_id) DO UPDATE SET \
     threshold_micros = excluded.threshold_micros, amount_micros = excluded.amount_micros";
pub(super) const CLEAR_COMPANY_RECHARGE: &str = "DELETE FROM company_recharges WHERE company_id = $1";
pub(super) const COMPANIES_LOW: &str = "SELECT r.company_id, r.threshold_micros, r.amount_micros \
     FROM company_recharges r JOIN accounts a ON a.name = 'company:' || r.company_id \
     WHERE a.balance < r.threshold_micros AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.company_id = r.company_id \
     AND p.cause = 'recharge' AND p.state = 'pending') ORDER BY r.company_id";
pub(super) const COMPANY_CREDIT: &str = "SELECT balance FROM accounts WHERE name = 'company:' || $1";
pub(super) const INSERT_PAYMENT: &str = "INSERT INTO payments (company_id, amount_micros, cause, state, requested_at, word) \
     VALUES ($1, $2, $3, 'pending', $4, '') \
     RETURNING id, company_id, amount_micros, cause, state, requested_at, settled_at, word";
/// The condition is the check that a payment is booked once. Money may still come after a failure.
pub(super) const SETTLE_PAYMENT: &str = "UPDATE payments SET state = $2, settled_at = $3, word = $4 \
     WHERE id = $1 AND (state = 'pending' OR (state = 'failed' AND $2 = 'paid')) \
     RETURNING id, company_id, amount_micros, cause, state, requested_at, settled_at, word";
pub(super) const PAYMENT: &str = payment!("WHERE id = $1");
pub(super) const LATEST_RECHARGE: &str =
    payment!("WHERE company_id = $1 AND cause = 'recharge' ORDER BY id DESC LIMIT 1");
pub(super) const PAYMENTS: &str = payment!(
    "WHERE company_id = COALESCE($1, company_id) AND id < COALESCE($2, 9223372036854775807) ORDER BY id DESC LIMIT $3"
);

// Administrators.
pub(super) const SET_ADMINISTRATOR: &str = "INSERT INTO administrators (company_id, email, name, business_account_id) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (company_id, email) DO UPDATE SET name = excluded.name, \
     business_account_id = excluded.business_account_id";
pub(super) const DELETE_ADMINISTRATOR: &str =
    "DELETE FROM administrators WHERE company_id = $1 AND email = $2";
pub(super) const ADMINISTRATORS: &str = "SELECT company_id, email, name, business_account_id FROM administrators \
     WHERE company_id = $1 ORDER BY email";
pub(super) const ADMINISTRATORS_OF_ACCOUNT: &str = "SELECT company_id, email, name, business_account_id \
     FROM administrators WHERE business_account_id = $1 ORDER BY email";
/// An attached account is the profile's, and cannot sign in.
pub(super) const SEAL_ACCOUNT: &str = "UPDATE business_accounts SET sealed_password = $2 WHERE id = $1 AND profile_id IS NULL \
     RETURNING name";
pub(super) const SEALED_ACCOUNTS_THAT: &str = "SELECT id, name, sealed_password FROM business_accounts \
     WHERE sealed_password IS NOT NULL";
pub(super) const SEALED_ACCOUNT: &str = "SELECT b.name, b.sealed_password, p.name FROM business_accounts b \
     LEFT JOIN profiles p ON p.id = b.profile_id WHERE b.id = $1";

// Profiles.
/// The ledger remembers deleted profiles, so their numbers are not given again. Nothing comes back if the SIP user is
/// taken, or the number was given to somebody else at the same moment.
pub(super) const INSERT_PROFILE: &str = "INSERT INTO profiles (id, company_id, name, sip_user, sealed_password, \
     authentication, digest, presentation, srtp, caller_id_by_call, caller_name) \
     SELECT COALESCE(MAX(profile_id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM subscribers WHERE 1 = 1 \
     ON CONFLICT DO NOTHING RETURNING id";
pub(super) const DELETE_PROFILES_IN: &str = "DELETE FROM profiles WHERE id IN";
pub(super) const DELETE_CDRS_OF_PROFILES_IN: &str = "DELETE FROM cdrs WHERE profile_id IN";
pub(super) const PROFILES_THAT: &str = concat!(profile_columns!(), "WHERE 1 = 1");
pub(super) const PROFILE: &str = profile!("WHERE p.id = $1");
pub(super) const PURSES_IN: &str = "SELECT p.id, c.id, c.currency FROM profiles p \
     JOIN companies c ON c.id = p.company_id WHERE p.id IN";
pub(super) const PROFILE_IDS_OF_COMPANY: &str = "SELECT id FROM profiles WHERE company_id = $1";
pub(super) const SOURCES_OF_OTHER_COMPANIES: &str = "SELECT r.source FROM registrations r \
     JOIN profiles p ON p.id = r.profile_id WHERE p.company_id <> (SELECT company_id FROM profiles WHERE id = $1)";
pub(super) const RENAME_PROFILE: &str = "UPDATE profiles SET name = $2 WHERE id = $1";
pub(super) const CHANGE_PROFILE: &str = "UPDATE profiles SET authentication = $2, digest = $3, presentation = $4, \
     srtp = $5, caller_id_by_call = $6, caller_name = $7 WHERE id = $1";
pub(super) const CHANGE_PASSWORD: &str =
    "UPDATE profiles SET sealed_password = $2 WHERE id = $1 RETURNING sip_user";
pub(super) const SEALED_PASSWORDS_THAT: &str =
    "SELECT id, sip_user, sealed_password FROM profiles WHERE 1 = 1";
pub(super) const SEALED_PASSWORD: &str = "SELECT id, sip_user, sealed_password FROM profiles WHERE id = $1";
pub(super) const SEAL_PASSWORD: &str = "UPDATE profiles SET sealed_password = $2 WHERE id = $1";
pub(super) const CARRIER_PLACES: &str = "SELECT host, sources FROM carriers";
pub(super) const PROFILES_OF_SAME_COMPANY: &str =
    "SELECT id FROM profiles WHERE company_id = (SELECT company_id FROM profiles WHERE id = $1)";
pub(super) const PROOFS_OF_OTHER_COMPANIES: &str = "SELECT o.address FROM proofs o \
     JOIN profiles p ON p.id = o.profile_id WHERE o.proved_at > $2 \
     AND p.company_id <> (SELECT company_id FROM profiles WHERE id = $1)";
pub(super) const INSERT_IP_RULE: &str = "INSERT INTO ip_rules (profile_id, network, port, transport, certificate, state) \
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
pub(super) const CONFIRM_IP_RULE: &str = "UPDATE ip_rules SET state = 'confirmed' WHERE id = $1";
/// The claims that a proof from their address may confirm.
pub(super) const PENDING_CLAIMS: &str = "SELECT id, profile_id, network, transport FROM ip_rules \
     WHERE state = 'pending' AND certificate IS NULL";
pub(super) const DELETE_IP_RULE: &str = "DELETE FROM ip_rules WHERE id = $1";
pub(super) const IP_RULES_OF_PROFILE: &str = concat!(ip_rule!(), "WHERE profile_id = $1 ORDER BY id");
pub(super) const IP_RULES_THAT: &str = concat!(ip_rule!(), "WHERE 1 = 1");

// What all profiles have left.
pub(super) const PROFILE_ACCOUNTS: &str = "SELECT p.id, a.balance, a.reserved, COALESCE(b.balance, 0) FROM profiles p \
     JOIN subscribers s ON s.profile_id = p.id \
     JOIN accounts a ON a.name = 'profile:' || p.id \
     LEFT JOIN accounts b ON b.name = 'bundle:' || p.id || ':' || s.period ORDER BY p.id";
pub(super) const CALLS_OF_PROFILES: &str =
    "SELECT profile_id, COUNT(*) FROM reservations GROUP BY profile_id";
pub(super) const HOLDS_OF_PROFILES: &str =
    "SELECT profile_id, CAST(SUM(credit_held_micros) AS BIGINT) FROM holds GROUP BY profile_id";
pub(super) const SPENDING_SINCE: &str =
    concat!("SELECT w.profile_id, ", spending_columns!(), " FROM spending w WHERE w.day >= $1");

// Numbers, business accounts, Caller ID.
pub(super) const INSERT_NUMBER: &str =
    "INSERT INTO online_numbers (company_id, number, country) VALUES ($1, $2, $3) RETURNING id";
pub(super) const NUMBERS_OF_COMPANY: &str = concat!(number!(), "WHERE n.company_id = $1 ORDER BY n.number");
pub(super) const NUMBER: &str = concat!(number!(), "WHERE n.id = $1");
pub(super) const NUMBERS_THAT: &str = concat!(number!(), "WHERE 1 = 1");
pub(super) const ASSIGN_NUMBER: &str =
    "UPDATE online_numbers SET profile_id = $2, business_account_id = $3 WHERE id = $1 RETURNING company_id";
pub(super) const DELETE_NUMBER: &str = "DELETE FROM online_numbers WHERE id = $1";
pub(super) const COMPANY_OF_PROFILE: &str = "SELECT company_id FROM profiles WHERE id = $1";
pub(super) const COMPANY_OF_ACCOUNT: &str = "SELECT company_id FROM business_accounts WHERE id = $1";
/// A number that has moved is shown only by the profile that it has moved to.
pub(super) const FORGET_CALLER_IDS_OF_OTHERS: &str = "DELETE FROM caller_ids WHERE choice = 'online_number' \
     AND number = (SELECT number FROM online_numbers WHERE id = $1) \
     AND profile_id <> COALESCE((SELECT profile_id FROM online_numbers WHERE id = $1), 0)";
pub(super) const FORGET_CALLER_IDS_OF_NUMBERS_IN: &str = "DELETE FROM caller_ids WHERE choice = 'online_number' \
     AND number IN (SELECT number FROM online_numbers WHERE id IN";
pub(super) const NUMBER_OF_PROFILE: &str =
    "SELECT country FROM online_numbers WHERE number = $2 AND profile_id = $1";
pub(super) const INSERT_ACCOUNT: &str =
    "INSERT INTO business_accounts (company_id, name, extension) VALUES ($1, $2, $3) RETURNING id";
pub(super) const BUSINESS_ACCOUNTS_THAT: &str = concat!(business_account!(), "WHERE 1 = 1");
/// The condition is the check that an account belongs to at most one profile.
pub(super) const ATTACH_ACCOUNT: &str = "UPDATE business_accounts SET profile_id = $2, extension = $3 \
     WHERE id = $1 AND (profile_id IS NULL OR profile_id = $2) RETURNING company_id";
pub(super) const DETACH_ACCOUNT: &str =
    "UPDATE business_accounts SET profile_id = NULL WHERE id = $1 RETURNING company_id";
pub(super) const DELETE_ACCOUNT: &str = "DELETE FROM business_accounts WHERE id = $1";
pub(super) const HOLDER_OF_ACCOUNT: &str = "SELECT b.name, p.name FROM business_accounts b \
     JOIN profiles p ON p.id = b.profile_id WHERE b.id = $1";
pub(super) const SET_CALLER_ID: &str = "INSERT INTO caller_ids (profile_id, country, choice, number) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (profile_id, country) \
     DO UPDATE SET choice = excluded.choice, number = excluded.number";
pub(super) const CLEAR_CALLER_ID: &str = "DELETE FROM caller_ids WHERE profile_id = $1 AND country = $2";
pub(super) const CALLER_IDS_OF_PROFILE: &str =
    "SELECT profile_id, country, choice, number FROM caller_ids WHERE profile_id = $1 ORDER BY country";
pub(super) const CALLER_IDS_THAT: &str =
    "SELECT profile_id, country, choice, number FROM caller_ids WHERE 1 = 1";

// Numbers on offer.
pub(super) const SET_STOCK: &str = "INSERT INTO number_stock (number, country, fee_micros, term_days) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (number) DO UPDATE SET country = excluded.country, \
     fee_micros = excluded.fee_micros, term_days = excluded.term_days";
pub(super) const DELETE_STOCK: &str = "DELETE FROM number_stock WHERE number = $1";
pub(super) const STOCK_NUMBER: &str =
    "SELECT number, country, fee_micros, term_days FROM number_stock WHERE number = $1";
/// What a company has is not on offer.
pub(super) const NUMBERS_ON_OFFER: &str = "SELECT s.number, s.country, s.fee_micros, s.term_days FROM number_stock s \
     WHERE NOT EXISTS (SELECT 1 FROM online_numbers n WHERE n.number = s.number)";

// Carriers and rates.
pub(super) const INSERT_CARRIER: &str = "INSERT INTO carriers (name, host, port, transport, priority, weight, \
     digest_user, sealed_password, sources, number_format, strip, prefix, srtp, active, country, trust) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id";
pub(super) const CHANGE_CARRIER: &str = "UPDATE carriers SET name = $1, host = $2, port = $3, transport = $4, \
     priority = $5, weight = $6, digest_user = $7, sealed_password = NULL, sources = $8, number_format = $9, \
     strip = $10, prefix = $11, srtp = $12, active = $13, country = $14, trust = $15 WHERE id = $16 RETURNING id";
/// The password is sealed for the carrier's identity, which is known only once the row is there.
pub(super) const SEAL_CARRIER: &str = "UPDATE carriers SET sealed_password = $2 WHERE id = $1";
pub(super) const DELETE_CARRIER: &str = "DELETE FROM carriers WHERE id = $1";
pub(super) const CARRIERS: &str = "SELECT id, name, host, port, transport, priority, weight, digest_user, \
     sealed_password, sources, number_format, country, strip, prefix, srtp, trust, active FROM carriers \
     ORDER BY priority, name";
pub(super) const SET_PRICE_LIST: &str = "UPDATE companies SET price_list = $2 WHERE id = $1";
pub(super) const COUNT_EDITIONS: &str =
    "SELECT COUNT(*) FROM rate_editions WHERE price_list = $1 AND state = 'valid'";
pub(super) const INSERT_EDITION: &str = "INSERT INTO rate_editions (price_list, valid_from, rates, imported_at, \
     imported_by, state) VALUES ($1, $2, 0, $3, $4, 'staged') RETURNING id";
pub(super) const VALIDATE_EDITION: &str =
    "UPDATE rate_editions SET state = 'valid', rates = $2 WHERE id = $1";
pub(super) const REPLACE_EDITION: &str = "UPDATE rate_editions SET state = 'replaced', replaced_by = $3 \
     WHERE price_list = $1 AND state = 'valid' AND valid_from = $2";
pub(super) const REPLACE_EDITIONS_UNTIL: &str = "UPDATE rate_editions SET state = 'replaced', replaced_by = $3 \
     WHERE price_list = $1 AND state = 'valid' AND valid_from <= $2";
pub(super) const RESTORE_EDITIONS: &str = "UPDATE rate_editions SET state = 'valid', replaced_by = NULL WHERE replaced_by = $1 AND state = 'replaced'";
/// All that were replaced by one edition go together: an undo that brought back a part of them would be none.
pub(super) const DROP_OLD_EDITIONS: &str = "UPDATE rate_editions SET state = 'gone' WHERE price_list = $1 \
     AND state = 'replaced' AND replaced_by NOT IN (SELECT replaced_by FROM rate_editions WHERE price_list = $1 \
     AND state = 'replaced' GROUP BY replaced_by ORDER BY replaced_by DESC LIMIT $2)";
pub(super) const SET_EDITION_GONE: &str = "UPDATE rate_editions SET state = 'gone' WHERE id = $1";
pub(super) const DELETE_EDITION: &str = "DELETE FROM rate_editions WHERE id = $1";
pub(super) const GONE_EDITIONS: &str = "SELECT id FROM rate_editions WHERE state = 'gone' OR (state = 'staged' AND imported_at < $1) ORDER BY id";
pub(super) const NEWEST_EDITION: &str =
    "SELECT id FROM rate_editions WHERE price_list = $1 AND state = 'valid' ORDER BY id DESC LIMIT 1";
pub(super) const REPLACED_BY: &str =
    "SELECT id FROM rate_editions WHERE replaced_by = $1 AND state = 'replaced' ORDER BY id";
pub(super) const EDITIONS: &str = "SELECT id, price_list, valid_from, rates, imported_at, imported_by, state \
     FROM rate_editions WHERE state IN ('valid', 'replaced') ORDER BY price_list, valid_from, id";
pub(super) const EDITION_IN_FORCE: &str = "SELECT id FROM rate_editions WHERE price_list = $1 AND state = 'valid' \
     AND valid_from <= $2 ORDER BY valid_from DESC, id DESC LIMIT 1";
/// The edition of each list that is in force at a moment, and those that come after it.
pub(super) const EDITIONS_FROM: &str = "SELECT id, price_list, valid_from FROM rate_editions r \
     WHERE state = 'valid' AND (valid_from > $1 OR valid_from = (SELECT MAX(o.valid_from) FROM rate_editions o \
     WHERE o.price_list = r.price_list AND o.state = 'valid' AND o.valid_from <= $1)) ORDER BY id";
pub(super) const RATES_THAT: &str = "SELECT prefix, destination, country, rate_per_minute_micros, \
     connection_fee_micros, minimum_s, increment_s FROM rates WHERE edition_id = \
     (SELECT id FROM rate_editions WHERE price_list = $1 AND state = 'valid' AND valid_from <= $2 \
     ORDER BY valid_from DESC, id DESC LIMIT 1)";
pub(super) const RATES_OF_EDITION: &str = "SELECT prefix, destination, country, rate_per_minute_micros, \
     connection_fee_micros, minimum_s, increment_s FROM rates WHERE edition_id = $1 AND prefix > $2 \
     ORDER BY prefix LIMIT $3";
pub(super) const DELETE_SOME_RATES: &str = "DELETE FROM rates WHERE edition_id = $1 AND prefix IN \
     (SELECT prefix FROM rates WHERE edition_id = $1 ORDER BY prefix LIMIT $2)";

// Registrations.
pub(super) const REGISTRATIONS: &str = "SELECT profile_id, contact, source, local, transport, user_agent, call_id, cseq, \
     media, registered_at, expires_at, path FROM registrations WHERE expires_at > $1 ORDER BY profile_id";
pub(super) const DELETE_REGISTRATIONS_IN: &str = "DELETE FROM registrations WHERE profile_id IN";
pub(super) const DELETE_EXPIRED_REGISTRATIONS: &str = "DELETE FROM registrations WHERE expires_at <= $1";

// Proofs of passwords.
pub(super) const PROOFS: &str = "SELECT profile_id, address, transport, proved_at FROM proofs WHERE proved_at > $1 ORDER BY proved_at, profile_id";
pub(super) const DELETE_OLD_PROOFS: &str = "DELETE FROM proofs WHERE proved_at <= $1";
pub(super) const DELETE_PROOFS_IN: &str = "DELETE FROM proofs WHERE profile_id IN";

// The HTTP API: tokens, the audit trail, answers that are kept.
pub(super) const INSERT_TOKEN: &str = "INSERT INTO tokens (name, role, company_id, hash, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
pub(super) const TOKENS_THAT: &str =
    "SELECT id, name, role, company_id, created_at, expires_at, revoked_at FROM tokens WHERE 1 = 1";
pub(super) const REVOKE_TOKEN: &str =
    "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
pub(super) const ENDLESS_TOKENS: &str =
    "SELECT COUNT(*) FROM tokens WHERE expires_at IS NULL AND revoked_at IS NULL";
pub(super) const INSERT_AUDIT: &str =
    "INSERT INTO audit (at, actor, origin, company_id, action, detail) VALUES ($1, $2, $3, $4, $5, $6)";
pub(super) const AUDIT_THAT: &str =
    "SELECT id, at, actor, origin, company_id, action, detail FROM audit WHERE 1 = 1";
pub(super) const FORGET_ANSWERS: &str = "DELETE FROM answers WHERE asked_at < $1";
pub(super) const BEGIN_ANSWER: &str =
    "INSERT INTO answers (owner, key, fingerprint, asked_at) VALUES ($1, $2, $3, $4)";
pub(super) const KEEP_ANSWER: &str =
    "UPDATE answers SET status = $3, body = $4 WHERE owner = $1 AND key = $2";
pub(super) const KEPT_ANSWER: &str =
    "SELECT fingerprint, status, body FROM answers WHERE owner = $1 AND key = $2 AND asked_at >= $3";
