//! Which calls the minutes of a US bundle pay: US landlines and mobiles less the excluded prefixes.

use std::collections::BTreeSet;

use super::tariff::BundleCover;

/// Area codes of +1 that are not US landlines or mobiles.
const OUTSIDE_US: &str = include_str!("../../data/nanp-outside-us.csv");
/// US prefixes that bundles never pay.
const EXCLUDED: &str = include_str!("../../data/us-bundle-excluded-prefixes.txt");
/// Digits of a number of the North American plan in E.164, the country code 1 included.
const NANP_DIGITS: usize = 11;

/// The rule that says whether bundle minutes pay a call.
#[derive(Clone, Debug)]
pub struct UsBundle {
    outside_us: BTreeSet<String>,
    excluded: BTreeSet<String>,
}

/// Why a list of excluded prefixes is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \"{text}\" is not a US prefix; write 3 to 10 digits, without the 1 in front")]
pub struct PrefixesRefused {
    /// Line in the list, counted from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl UsBundle {
    /// The rule with the excluded prefixes of the standard terms.
    pub fn standard() -> Self {
        Self::with_excluded(EXCLUDED).expect("the list that ships with this crate is checked by a test")
    }

    /// The rule with another list of excluded prefixes: one a line, without the 1 in front; `#` begins a comment.
    pub fn with_excluded(list: &str) -> Result<Self, PrefixesRefused> {
        let outside_us = OUTSIDE_US
            .lines()
            .filter_map(|line| line.split_once(','))
            // Comments and the header line have commas too.
            .filter(|(area_code, _)| {
                area_code.len() == 3 && area_code.bytes().all(|byte| byte.is_ascii_digit())
            })
            .map(|(area_code, _)| area_code.to_owned())
            .collect();
        let mut excluded = BTreeSet::new();
        for (index, line) in list.lines().enumerate() {
            let text = line.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            if !(3..=10).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(PrefixesRefused { line: index + 1, text: text.to_owned() });
            }
            excluded.insert(text.to_owned());
        }
        Ok(Self { outside_us, excluded })
    }

    /// Whether bundle minutes pay a call to `number`, an E.164 number with or without its `+`.
    pub fn cover(&self, number: &str) -> BundleCover {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let national = digits.strip_prefix('1').filter(|_| digits.len() == NANP_DIGITS);
        match national.filter(|national| self.is_covered(national)) {
            Some(_) => BundleCover::Covered,
            None => BundleCover::NotCovered,
        }
    }

    fn is_covered(&self, national: &str) -> bool {
        if !national.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let area_code = &national[..3];
        let is_assignable = matches!(area_code.as_bytes()[0], b'2'..=b'9') && !area_code.ends_with("11");
        let is_excluded = (3..=10).any(|length| self.excluded.contains(&national[..length]));
        is_assignable && !is_excluded && !self.outside_us.contains(area_code)
    }
}

impl Default for UsBundle {
    fn default() -> Self {
        Self::standard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_united_states_less_the_excluded_prefixes() {
        let rule = UsBundle::standard();
        for covered in ["+12152751701", "12026843376", "+16057150000", "+16057153999"] {
            assert_eq!(rule.cover(covered), BundleCover::Covered, "{covered}");
        }
        let paid_by_credit = [
            "+3728800814",  // Estonia
            "+14165550100", // Toronto
            "+18765550100", // Jamaica
            "+17875550100", // Puerto Rico
            "+18005550100", // toll-free
            "+19005550100", // premium
            "+16057154000", // a thousands block that is excluded
            "+12182370000", // an exchange that is excluded
            "+1202684337",  // a digit short
            "+11115550100", // no area code begins with 1
            "+12é2684337",  // not a number at all
        ];
        for number in paid_by_credit {
            assert_eq!(rule.cover(number), BundleCover::NotCovered, "{number}");
        }
        assert!(rule.excluded.len() > 100 && rule.outside_us.len() > 80);
    }

    #[test]
    fn another_list_names_its_bad_line() {
        let rule = UsBundle::with_excluded("# none but New York\n212 # all of it\n").unwrap();
        assert_eq!(rule.cover("+12125550100"), BundleCover::NotCovered);
        assert_eq!(rule.cover("+12182370000"), BundleCover::Covered);
        let refused = UsBundle::with_excluded("212\n\n+1 212").unwrap_err();
        assert_eq!((refused.line, refused.text.as_str()), (3, "+1 212"));
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(number in ".{0,16}") {
            UsBundle::standard().cover(&number);
        }
    }
}
