//! The difference between two directories.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Directory, Profile};
use crate::types::ProfileId;

/// A directory in the place of another.
#[derive(Clone, Debug)]
pub struct Succession {
    /// The new one.
    pub directory: Arc<Directory>,
    /// The profiles that are not the same any more, came or went.
    pub changed: BTreeSet<ProfileId>,
    /// The names of certificates that no longer prove whom they did.
    pub certificates: BTreeSet<String>,
}

impl Succession {
    /// Finds whom `new` treats otherwise than `old`. It looks at every profile, so it is not for the call path.
    pub fn new(old: &Directory, new: Arc<Directory>) -> Self {
        let is_same = |profile: &Arc<Profile>| {
            let is_equal = |other: &Arc<Profile>| Arc::ptr_eq(profile, other) || profile == other;
            // Whether a phone may sign in depends on its account as well.
            let is_let_in = |directory: &Directory| directory.may_register(profile.id);
            new.profile(profile.id).is_some_and(is_equal)
                && (!profile.id.is_phone() || is_let_in(old) == is_let_in(&new))
        };
        let changed = old.profiles.values().filter(|profile| !is_same(profile)).map(|profile| profile.id);
        let added = new.profiles.keys().filter(|id| old.profile(**id).is_none()).copied();
        let changed = changed.chain(added).collect();
        let certificates = old.ip_rules.certificates_that_differ(&new.ip_rules);
        Self { directory: new, changed, certificates }
    }
}
