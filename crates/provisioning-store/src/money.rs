//! Money: whole millionths of the currency, never a float.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One unit of the currency (1.00) in millionths.
const UNIT: i64 = 1_000_000;
/// One cent in millionths.
const CENT: i64 = 10_000;
/// Digits kept after the point.
const FRACTION_DIGITS: usize = 6;

/// An amount in millionths of the installation's currency: 10.00 is `Micros(10_000_000)`.
///
/// Arithmetic is checked and spelled out, because an amount that wrapped would be money made or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// There is nothing, or something that is not a digit, a point or a leading minus.
    #[error("\"{0}\" is not an amount; write digits with an optional point, like 6.95")]
    NotANumber(String),
    /// More than six digits follow the point; rounding silently would change the amount.
    #[error("\"{0}\" has more than six digits after the point; round it to millionths")]
    TooPrecise(String),
    /// The amount does not fit.
    #[error("\"{0}\" is larger than this program can count")]
    TooLarge(String),
}

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be counted.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount of whole units of the currency. For constants: `units` within ±9 billion.
    pub const fn from_units(units: i32) -> Self {
        Self(units as i64 * UNIT)
    }

    /// An amount of whole cents.
    pub const fn from_cents(cents: i32) -> Self {
        Self(cents as i64 * CENT)
    }

    /// The sum, unless it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self` times `numerator / denominator`, rounded down; `None` when it does not fit or for a zero denominator.
    pub fn share_rounded_down(self, numerator: i64, denominator: i64) -> Option<Self> {
        let product = i128::from(self.0) * i128::from(numerator);
        i64::try_from(product.checked_div_euclid(i128::from(denominator))?).ok().map(Self)
    }

    /// `self` times `numerator / denominator`, rounded up; `None` when it does not fit or for a zero denominator.
    pub fn share_rounded_up(self, numerator: i64, denominator: i64) -> Option<Self> {
        let product = i128::from(self.0) * i128::from(numerator);
        let floor = product.checked_div_euclid(i128::from(denominator))?;
        let exact = product.checked_rem_euclid(i128::from(denominator))? == 0;
        i64::try_from(if exact { floor } else { floor + 1 }).ok().map(Self)
    }

    /// True below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The amount as pages show it: two digits after the point, half a cent rounded away from zero.
    pub fn cents(self) -> Cents {
        Cents(self)
    }
}

/// [`Micros`] shown in whole cents; made by [`Micros::cents`].
#[derive(Clone, Copy, Debug)]
pub struct Cents(Micros);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (self.0.0.unsigned_abs() + CENT as u64 / 2) / CENT as u64;
        let sign = if self.0.is_negative() && cents > 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

/// The exact amount, with at least two digits after the point: `0.008`, `6.95`, `10.00`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, value) = (if self.is_negative() { "-" } else { "" }, self.0.unsigned_abs());
        let fraction = format!("{:06}", value % UNIT as u64);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{}.{}", value / UNIT as u64, &fraction[..kept])
    }
}

impl FromStr for Micros {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountError::NotANumber(text.to_owned()));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > FRACTION_DIGITS {
            return Err(AmountError::TooPrecise(text.to_owned()));
        }
        // The sign goes to the parser with the digits, so that the smallest amount parses too.
        let sign = if unsigned.len() < text.len() { "-" } else { "" };
        format!("{sign}{whole}{fraction:0<width$}", width = FRACTION_DIGITS)
            .parse()
            .map(Self)
            .map_err(|_| AmountError::TooLarge(text.to_owned()))
    }
}

impl Sum for Micros {
    /// Saturates at [`Micros::MAX`]: sums are shown, never booked.
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |sum, amount| Self(sum.0.saturating_add(amount.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_the_exact_amount_and_cents() {
        assert_eq!(Micros(8_000).to_string(), "0.008");
        assert_eq!(Micros(8_000).cents().to_string(), "0.01");
        assert_eq!(Micros(6_950_000).to_string(), "6.95");
        assert_eq!(Micros(-1).to_string(), "-0.000001");
        assert_eq!(Micros(-1).cents().to_string(), "0.00");
        assert_eq!(Micros(-15_000).cents().to_string(), "-0.02");
        assert_eq!(Micros::from_units(10).to_string(), "10.00");
    }

    #[test]
    fn reads_what_people_write_and_refuses_the_rest() {
        assert_eq!("6.95".parse(), Ok(Micros(6_950_000)));
        assert_eq!("7".parse(), Ok(Micros::from_units(7)));
        assert_eq!(".5".parse(), Ok(Micros(500_000)));
        assert_eq!("-0.000001".parse(), Ok(Micros(-1)));
        assert_eq!("0.0230000000".parse(), Ok(Micros(23_000)));
        for text in ["", ".", "-", "1,5", "1e3", "+1", " 1", "1.-5"] {
            assert_eq!(text.parse::<Micros>(), Err(AmountError::NotANumber(text.into())));
        }
        assert!(matches!("0.0000001".parse::<Micros>(), Err(AmountError::TooPrecise(_))));
        assert!(matches!("99999999999999".parse::<Micros>(), Err(AmountError::TooLarge(_))));
    }

    #[test]
    fn shares_round_the_way_they_say() {
        assert_eq!(Micros(10).share_rounded_down(1, 3), Some(Micros(3)));
        assert_eq!(Micros(10).share_rounded_up(1, 3), Some(Micros(4)));
        assert_eq!(Micros(9).share_rounded_up(1, 3), Some(Micros(3)));
        assert_eq!(Micros(9).share_rounded_up(1, 0), None);
        assert_eq!(Micros::MAX.share_rounded_up(2, 1), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(amount: i64) {
            prop_assert_eq!(Micros(amount).to_string().parse(), Ok(Micros(amount)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Ok(amount) = text.parse::<Micros>() {
                prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            }
        }
    }
}
