//! The series of profiles. There may be hundreds of thousands, and all of them are other ones at each page: so they are
//! not kept, and are put on the page one metric after the other.

use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// What a page says of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileStanding {
    /// The SIP user, which names its series.
    pub user: String,
    /// Channels that carry a call.
    pub channels_in_use: u32,
    /// Channels bought.
    pub channels_limit: u32,
    /// Credit, in the company's currency.
    pub credit: f64,
    /// Seconds left in its minute bundles.
    pub bundle_seconds_left: u32,
    /// Whether its PBX is registered.
    pub is_registered: bool,
    /// Its spend caps: which window, and how much of it is charged or reserved, as a share.
    pub caps: Vec<(&'static str, f64)>,
}

/// A metric with one value for each profile.
struct Family {
    name: &'static str,
    help: &'static str,
    value: fn(&ProfileStanding) -> f64,
}

const FAMILIES: [Family; 5] = [
    Family {
        name: "sipgw_channels_in_use",
        help: "Channels that carry a call",
        value: |it| it.channels_in_use.into(),
    },
    Family { name: "sipgw_channels_limit", help: "Channels bought", value: |it| it.channels_limit.into() },
    Family {
        name: "sipgw_credit",
        help: "Credit of the profile, in the company's currency",
        value: |it| it.credit,
    },
    Family {
        name: "sipgw_bundle_seconds_left",
        help: "Seconds left in the profile's minute bundles",
        value: |it| it.bundle_seconds_left.into(),
    },
    Family {
        name: "sipgw_registered",
        help: "1 if the profile's PBX is registered",
        value: |it| it.is_registered.into(),
    },
];

/// Adds the series of all profiles to a page.
pub(super) fn put(page: &mut Vec<u8>, profiles: &[ProfileStanding]) {
    for Family { name, help, value } in FAMILIES {
        let series = |it: &ProfileStanding| gauge(vec![label("profile", &it.user)], value(it));
        put_family(page, (name, help), profiles.iter().map(series).collect());
    }
    let of_profile = |it: &ProfileStanding| {
        let user = label("profile", &it.user);
        let caps = it
            .caps
            .iter()
            .map(move |(window, share)| gauge(vec![user.clone(), label("window", window)], *share));
        caps.collect::<Vec<_>>()
    };
    let help = "Share of the profile's spend cap that is charged or reserved in this hour or day";
    put_family(page, ("sipgw_spend_guard_used_ratio", help), profiles.iter().flat_map(of_profile).collect());
}

fn put_family(page: &mut Vec<u8>, (name, help): (&str, &str), series: Vec<Metric>) {
    // A family without series is an error to the encoder.
    if series.is_empty() {
        return;
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(series);
    TextEncoder::new().encode(&[family], page).expect("writing text into memory does not fail");
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_gauge(gauge);
    metric.set_label(labels);
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_has_its_series() {
        let sales = ProfileStanding {
            user: "99050000000001".into(),
            channels_in_use: 2,
            channels_limit: 4,
            credit: 9.96,
            bundle_seconds_left: 60,
            is_registered: true,
            caps: vec![("day", 0.5)],
        };
        let idle =
            ProfileStanding { user: "99050000000002".into(), is_registered: false, caps: vec![], ..sales };
        let mut page = Vec::new();
        put(&mut page, &[sales, idle]);
        let page = String::from_utf8(page).unwrap();
        for line in [
            "# TYPE sipgw_channels_in_use gauge",
            r#"sipgw_channels_in_use{profile="99050000000001"} 2"#,
            r#"sipgw_channels_limit{profile="99050000000001"} 4"#,
            r#"sipgw_credit{profile="99050000000001"} 9.96"#,
            r#"sipgw_bundle_seconds_left{profile="99050000000002"} 60"#,
            r#"sipgw_registered{profile="99050000000001"} 1"#,
            r#"sipgw_registered{profile="99050000000002"} 0"#,
            r#"sipgw_spend_guard_used_ratio{profile="99050000000001",window="day"} 0.5"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert_eq!(page.matches("window").count(), 1, "{page}");
    }

    #[test]
    fn without_profiles_there_is_nothing_to_say() {
        let mut page = Vec::new();
        put(&mut page, &[]);
        assert!(page.is_empty());
    }
}
