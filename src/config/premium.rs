//! The table of premium ranges.

use std::path::Path;

use provisioning_store::rating::PremiumRanges;

use super::load::{contents, one};
use super::{Config, ConfigError};

/// What is known where no file is named.
const BUILT_IN: &str = include_str!("../../config/premium-ranges.csv");

impl Config {
    /// Reads the table of premium ranges, or those that are known without one.
    pub fn premium_ranges(&self) -> Result<PremiumRanges, ConfigError> {
        let cure = "Correct calls.premium_file, or leave it out.";
        let (file, text) = match &self.calls.premium_file {
            Some(named) => {
                let file = self.resolve_path(named);
                let text = contents(&file, cure)?;
                (file, text)
            }
            None => (Path::new("premium-ranges.csv").to_owned(), BUILT_IN.to_owned()),
        };
        PremiumRanges::read(&text).map_err(|refused| {
            let mut error = one(&file, refused.problem, cure);
            error.faults[0].line = usize::try_from(refused.line).ok();
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_that_come_with_the_gateway_hold_premium_numbers_and_no_others() {
        let ranges = Config::default().premium_ranges().unwrap();
        let premium = [
            "+19005550123",  // NANP
            "+12129760123",  // 976 in New York
            "+979312345678", // international premium rate
            "+449098790123", // United Kingdom
            "+448719870123",
            "+447012345678",
            "+49900112345678", // Germany
            "+33899123456",    // France
            "+34806123456",    // Spain
            "+39899123456",    // Italy
            "+41900123456",    // Switzerland
            "+61190012345",    // Australia
            "+81990123456",    // Japan
            "+88165012345678", // satellite
            "+8821612345678",
        ];
        for number in premium {
            assert!(ranges.cover(number), "{number}");
        }
        let others = [
            "+12025550123",
            "+442079460123",
            "+447911123456",
            "+441189460123",
            "+4930123456",
            "+33142345678",
            "+39061234567",
            "+390899123456",
            "+3728800814",
            "+61212345678",
            "+81312345678",
            "+35315123456",
            "+18005550123",
            "+390812345678",
        ];
        for number in others {
            assert!(!ranges.cover(number), "{number}");
        }
    }

    #[test]
    fn a_table_of_ones_own_takes_the_place_of_ours_and_is_blamed_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ranges.csv");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let mut config = Config::default();
            config.calls.premium_file = Some(file.clone());
            config.premium_ranges()
        };
        let own = read("prefix,notes\n999,ours\n").unwrap();
        assert!(own.cover("+99912") && !own.cover("+19005550123"));
        let error = read("prefix\n0900\n").unwrap_err().to_string();
        assert!(error.contains("ranges.csv") && error.contains("0900"), "{error}");
    }
}
