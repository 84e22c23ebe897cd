//! How many calls a second profiles and companies may begin.
//!
//! Every INVITE that would begin a call counts once it is known whose it is, whatever becomes of it: a PBX that repeats a
//! refused call without end is what the limit is for. A request within a call never counts. Neither does an INVITE that is
//! challenged, since its sender has proved nothing.
//!
//! A call for help is never stopped by the limit: it has a bucket of its own, so that it is told what an emergency call is
//! told however fast the others come, and a PBX that dials nothing else fills no records either.
//!
//! The phone of a business account may make no calls, so it has a small bucket of its own, and its calls
//! take nothing from its company's profiles.
//!
//! A call *to* a profile does not count towards its limit: its rate is up to whoever calls, and a stranger could use the
//! limit up and so keep the profile from calling. Where another profile calls it, that one's limit counts the call.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::directory::Directory;
use crate::guard::{Pace, Rates};
use crate::refusal::Refusal;
use crate::types::{CompanyId, ProfileId};

/// So many seconds' worth of calls may begin at once: people do not call evenly.
const BURST_S: f64 = 2.0;
/// A phone is refused every call; so many a second are looked at and leave a record each.
const OF_PHONE: NonZeroU32 = NonZeroU32::MIN;
/// A profile's calls beyond the limit leave one record in so long; the record tells how many there were.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// How often a profile beyond its limit may call for help.
const EMERGENCY_EVERY: Duration = Duration::from_secs(1);
/// So many times at once.
const EMERGENCY_BURST: u32 = 10;
/// A bucket that was not used for so long is full again.
const IDLE: Duration = Duration::from_secs(30);
/// How often idle buckets are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// The limits that are provisioned. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CallLimits {
    pub(crate) profiles: HashMap<ProfileId, NonZeroU32>,
    /// Each for all profiles of a company together.
    pub(crate) companies: HashMap<CompanyId, NonZeroU32>,
}

impl CallLimits {
    /// The limits of the profiles and companies that stay.
    pub(crate) fn only(
        &self,
        stays: impl Fn(ProfileId) -> bool,
        is_kept: impl Fn(CompanyId) -> bool,
    ) -> Self {
        let profiles = self.profiles.iter().filter(|(profile, _)| stays(**profile));
        let companies = self.companies.iter().filter(|(company, _)| is_kept(**company));
        Self {
            profiles: profiles.map(|(profile, most)| (*profile, *most)).collect(),
            companies: companies.map(|(company, most)| (*company, *most)).collect(),
        }
    }
}

/// A call beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// Whose limit it is.
    pub(crate) why: Refusal,
    /// Whether the call leaves a record; if so, how many have left none since the last one.
    pub(crate) record: Option<u64>,
}

/// What is left of each limit: a bucket for each profile and company that has called of late.
#[derive(Debug)]
pub(crate) struct CallRates {
    profiles: HashMap<ProfileId, Bucket>,
    companies: HashMap<CompanyId, Bucket>,
    emergencies: Rates<ProfileId>,
    /// The profiles that have been beyond a limit of late.
    beyond: HashMap<ProfileId, Beyond>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// A profile's calls beyond the limit.
#[derive(Clone, Copy, Debug)]
struct Beyond {
    recorded: Instant,
    unrecorded: u64,
}

/// Whether there is a token for one more call; takes it.
fn take<K: Eq + Hash>(
    buckets: &mut HashMap<K, Bucket>,
    key: K,
    per_second: NonZeroU32,
    now: Instant,
) -> bool {
    let per_second = f64::from(per_second.get());
    let most = per_second * BURST_S;
    let bucket = buckets.entry(key).or_insert(Bucket { tokens: most, filled: now });
    let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
    bucket.tokens = (bucket.tokens + passed * per_second).min(most);
    bucket.filled = now;
    let is_there = bucket.tokens >= 1.0;
    if is_there {
        bucket.tokens -= 1.0;
    }
    is_there
}

impl CallRates {
    /// No call has begun; at most so many profiles are remembered that have called for help beyond their limit.
    pub(crate) fn new(profiles: usize) -> Self {
        Self {
            profiles: HashMap::new(),
            companies: HashMap::new(),
            emergencies: Rates::new(EMERGENCY_EVERY, EMERGENCY_BURST, profiles),
            beyond: HashMap::new(),
            swept: None,
        }
    }

    /// Counts a call of a profile, or says which limit is exceeded. A call that the profile may not make takes nothing
    /// from the company's other profiles.
    pub(crate) fn count(
        &mut self,
        now: Instant,
        directory: &Directory,
        profile: ProfileId,
        is_emergency: impl FnOnce() -> bool,
    ) -> Result<(), TooFast> {
        self.sweep(now);
        match self.exceeded(now, directory, profile) {
            Some(_) if is_emergency() && self.emergencies.take(now, profile) == Pace::Within => Ok(()),
            Some(why) => Err(TooFast { why, record: self.record(now, profile) }),
            None => Ok(()),
        }
    }

    fn exceeded(&mut self, now: Instant, directory: &Directory, profile: ProfileId) -> Option<Refusal> {
        if profile.is_phone() {
            let is_there = take(&mut self.profiles, profile, OF_PHONE, now);
            return (!is_there).then_some(Refusal::PhoneCannotCall);
        }
        let limits = directory.call_limits();
        if let Some(most) = limits.profiles.get(&profile)
            && !take(&mut self.profiles, profile, *most, now)
        {
            return Some(Refusal::ProfileTooFast);
        }
        let company = directory.profile(profile)?.company;
        let most = limits.companies.get(&company)?;
        (!take(&mut self.companies, company, *most, now)).then_some(Refusal::CompanyTooFast)
    }

    fn record(&mut self, now: Instant, profile: ProfileId) -> Option<u64> {
        let Some(beyond) = self.beyond.get_mut(&profile) else {
            self.beyond.insert(profile, Beyond { recorded: now, unrecorded: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(beyond.recorded) < RECORD_EVERY {
            beyond.unrecorded += 1;
            return None;
        }
        beyond.recorded = now;
        Some(std::mem::take(&mut beyond.unrecorded))
    }

    fn sweep(&mut self, now: Instant) {
        let is_due = |last: Instant| now.saturating_duration_since(last) >= SWEEP;
        if self.swept.is_none_or(is_due) {
            self.swept = Some(now);
            let is_of_late = |at: Instant| now.saturating_duration_since(at) < IDLE;
            self.profiles.retain(|_, bucket| is_of_late(bucket.filled));
            self.companies.retain(|_, bucket| is_of_late(bucket.filled));
            // What is still to be told goes with the next record, however long that takes.
            self.beyond.retain(|_, beyond| beyond.unrecorded > 0 || is_of_late(beyond.recorded));
        }
    }

    /// Forgets profiles and companies that are no longer there.
    pub(crate) fn follow(&mut self, directory: &Directory) {
        let limits = directory.call_limits();
        let is_limited = |profile: &ProfileId| limits.profiles.contains_key(profile) || profile.is_phone();
        self.profiles.retain(|profile, _| is_limited(profile) && directory.profile(*profile).is_some());
        self.companies.retain(|company, _| limits.companies.contains_key(company));
        self.beyond.retain(|profile, _| directory.profile(*profile).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{CallerId, Profile, profile_of};

    /// A starting point in time without asking a clock.
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant has no other constructor; only differences matter"
        )]
        *START.get_or_init(Instant::now)
    }

    const ONE: ProfileId = ProfileId(1);
    const TWO: ProfileId = ProfileId(2);

    fn directory(profile: Option<u32>, company: Option<u32>) -> Directory {
        let mut directory = Directory::new();
        for id in [ONE, TWO] {
            directory.add_profile(Profile { id, ..profile_of(CallerId::default()) });
            if let Some(most) = profile.and_then(NonZeroU32::new) {
                directory.limit_profile(id, most);
            }
        }
        if let Some(most) = company.and_then(NonZeroU32::new) {
            directory.limit_company(CompanyId(1), most);
        }
        directory
    }

    fn let_out(
        rates: &mut CallRates,
        directory: &Directory,
        profile: ProfileId,
        calls: u32,
        ms: u64,
    ) -> usize {
        let now = start() + Duration::from_millis(ms);
        (0..calls).filter(|_| rates.count(now, directory, profile, || false).is_ok()).count()
    }

    #[test]
    fn a_burst_is_two_seconds_worth_and_then_the_limit_holds() {
        let (mut rates, directory) = (CallRates::new(100), directory(Some(5), None));
        assert_eq!(let_out(&mut rates, &directory, ONE, 100, 0), 10);
        assert_eq!(let_out(&mut rates, &directory, ONE, 100, 1_000), 5);
        assert_eq!(let_out(&mut rates, &directory, TWO, 1, 1_000), 1, "the other profile has its own");
        let spread: usize =
            (0..60).map(|second| let_out(&mut rates, &directory, ONE, 100, 2_000 + second * 1_000)).sum();
        assert_eq!(spread, 300);
    }

    #[test]
    fn a_company_has_one_limit_for_all_its_profiles_and_one_profile_does_not_use_it_up() {
        let (mut rates, both) = (CallRates::new(100), directory(Some(5), Some(6)));
        assert_eq!(let_out(&mut rates, &both, ONE, 1_000, 0), 10);
        assert_eq!(let_out(&mut rates, &both, TWO, 5, 0), 2);
        let refused =
            |rates: &mut CallRates, profile| rates.count(start(), &both, profile, || false).unwrap_err().why;
        assert_eq!(refused(&mut rates, ONE), Refusal::ProfileTooFast);
        assert_eq!(refused(&mut rates, TWO), Refusal::CompanyTooFast);
    }

    #[test]
    fn a_phone_is_held_to_a_limit_of_its_own_and_takes_nothing_from_its_company() {
        let phone = ProfileId::of_phone(7);
        for company in [None, Some(20)] {
            let (mut rates, mut directory) = (CallRates::new(100), directory(None, company));
            directory.add_profile(Profile { id: phone, ..profile_of(CallerId::default()) });
            assert_eq!(let_out(&mut rates, &directory, phone, 1_000, 0), 2);
            assert_eq!(let_out(&mut rates, &directory, phone, 1_000, 1_000), 1);
            let now = start() + Duration::from_secs(1);
            let why = rates.count(now, &directory, phone, || false).unwrap_err().why;
            assert_eq!(why, Refusal::PhoneCannotCall);
            assert_eq!(let_out(&mut rates, &directory, ONE, 40, 1_000), 40, "all that the company may");
            rates.follow(&directory);
            assert_eq!(
                let_out(&mut rates, &directory, phone, 1, 1_000),
                0,
                "another change gives nothing back"
            );
            rates.follow(&Directory::new());
            assert!(rates.profiles.is_empty());
        }
    }

    #[test]
    fn without_a_limit_nothing_is_counted_or_kept() {
        let (mut rates, directory) = (CallRates::new(100), directory(None, None));
        assert_eq!(let_out(&mut rates, &directory, ONE, 10_000, 0), 10_000);
        assert!(rates.profiles.is_empty() && rates.companies.is_empty());
    }

    #[test]
    fn calls_beyond_the_limit_leave_one_record_in_ten_seconds_which_counts_the_others() {
        let (mut rates, directory) = (CallRates::new(100), directory(Some(5), None));
        let mut records = Vec::new();
        for ms in 0..20_100 {
            let now = start() + Duration::from_millis(ms);
            if let Err(TooFast { record: Some(unrecorded), .. }) = rates.count(now, &directory, ONE, || false)
            {
                records.push(unrecorded);
            }
        }
        let [first, second, third] = records[..] else { panic!("{records:?}") };
        assert_eq!(first, 0);
        assert!((9_940..9_960).contains(&second) && (9_940..9_960).contains(&third), "{records:?}");
    }

    #[test]
    fn a_call_for_help_is_heard_however_fast_the_others_come() {
        let (mut rates, directory) = (CallRates::new(100), directory(Some(1), None));
        assert_eq!(let_out(&mut rates, &directory, ONE, 1_000, 0), 2);
        let mut help = |ms| {
            let now = start() + Duration::from_millis(ms);
            (0..100).filter(|_| rates.count(now, &directory, ONE, || true).is_ok()).count()
        };
        assert_eq!(help(0), 10);
        assert_eq!(help(500), 0, "nothing but calls for help is no call for help");
    }

    #[test]
    fn a_profile_that_is_deleted_leaves_nothing() {
        let (mut rates, both) = (CallRates::new(100), directory(Some(1), Some(1)));
        let_out(&mut rates, &both, ONE, 10, 0);
        rates.follow(&Directory::new());
        assert!(rates.profiles.is_empty() && rates.companies.is_empty() && rates.beyond.is_empty());
    }

    #[test]
    fn who_has_not_called_of_late_is_forgotten() {
        let (mut rates, directory) = (CallRates::new(100), directory(Some(5), Some(6)));
        let_out(&mut rates, &directory, ONE, 3, 0);
        let_out(&mut rates, &directory, TWO, 1, 61_000);
        assert_eq!((rates.profiles.len(), rates.companies.len()), (1, 1));
    }
}
