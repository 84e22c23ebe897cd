use super::*;

const MINIMAL: &str = "node:\n  domain: sip.example.com\nsip:\n  listen:\n    - {transport: udp, address: \"192.0.2.10:5060\"}\nmedia:\n  addresses:\n    - {bind: \"192.0.2.10\"}\n";

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    from_text(Path::new("sipgw.yaml"), text, variables)
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    read(text, variables).unwrap_err().to_string()
}

#[test]
fn a_small_file_is_enough_and_the_rest_is_default() {
    let config = read(MINIMAL, &[]).unwrap();
    assert_eq!(config.node.domain, "sip.example.com");
    assert_eq!(config.registration, super::super::RegistrationConfig::default());
}

#[test]
fn an_unknown_key_is_refused_with_line_and_nearest_key() {
    let text = MINIMAL.replace("domain", "domian");
    assert_eq!(
        refused(&text, &[]),
        "sipgw.yaml, line 2, key node.domian: `domian` is not a key here. Did you mean `domain`?"
    );
    let text = format!("{MINIMAL}zebra: 1\n");
    assert!(
        refused(&text, &[])
            .starts_with("sipgw.yaml, line 9, key zebra: `zebra` is not a key here. Write one of: node, sip")
    );
}

#[test]
fn a_wrong_type_is_refused_with_what_is_wanted() {
    let text = format!("{MINIMAL}registration:\n  nat_s: soon\n");
    let message = refused(&text, &[]);
    assert!(message.starts_with("sipgw.yaml, line 10, key registration.nat_s: "), "{message}");
    assert!(message.contains("\"soon\"") && message.ends_with("Write a whole number."), "{message}");
    assert!(refused(&format!("{MINIMAL}registration:\n  nat_s: true\n"), &[]).contains("line 10"));
    assert!(refused(&MINIMAL.replace("sip.example.com", "12"), &[]).contains("key node.domain"));
}

#[test]
fn a_wrong_word_is_refused_with_the_right_ones() {
    let message = refused(&MINIMAL.replace("udp", "upd"), &[]);
    assert_eq!(
        message,
        "sipgw.yaml, line 5, key sip.listen[0].transport: `upd` is not a value here. Did you mean `udp`?"
    );
}

#[test]
fn wrong_types_words_and_keys_are_found_all_at_once_in_the_order_of_the_file() {
    let text = "zebra: 1\nnode:\n  domain: 12\nsip:\n  listen:\n    - {transport: upd, address: \"192.0.2.10:5060\"}\n    \
                - {transport: udp, address: \"192.0.2.10:5060\"}\n    - {address: \"192.0.2.10:5060\"}\n    \
                - {transport: udp, address: nowhere}\n  quue: 7\nregistration: 5\ncalls:\n  no_answer_s: soon\n";
    let variable = ("SIPGW__REGISTRATION__NAT_S", "soon");
    let error = read(text, &[]).unwrap_err();
    let paths: Vec<(&str, Option<usize>)> = error.faults.iter().map(|f| (f.path.as_str(), f.line)).collect();
    assert_eq!(
        paths,
        [
            ("zebra", Some(1)),
            ("node.domain", Some(3)),
            ("sip.listen[0].transport", Some(6)),
            ("sip.listen[2].transport", Some(8)),
            ("sip.listen[3].address", Some(9)),
            ("sip.quue", Some(10)),
            ("registration", Some(11)),
            ("calls.no_answer_s", Some(13)),
        ],
        "{error}"
    );
    let error = read(&MINIMAL.replace("domain", "domian"), &[variable]).unwrap_err();
    let paths: Vec<_> = error.faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["node.domian", "registration.nat_s"], "{error}");
}

#[test]
fn a_missing_key_is_named() {
    let message = refused(&MINIMAL.replace("transport: udp, ", ""), &[]);
    assert_eq!(
        message,
        "sipgw.yaml, line 5, key sip.listen[0].transport: the key `transport` is missing. Add it."
    );
}

#[test]
fn variables_override_the_file_and_are_typed_by_the_key() {
    let config = read(
        MINIMAL,
        &[
            ("SIPGW__REGISTRATION__NAT_S", "60"),
            ("SIPGW__HTTP__TOKEN", "0385172946150372"),
            ("SIPGW__SIP__ALIASES", "[a.example, b.example]"),
            ("SIPGW__PRICES__CHANNEL", "7.5"),
            ("UNRELATED", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.registration.nat_s, 60);
    assert_eq!(config.http.token.as_ref().map(super::super::Secret::reveal), Some("0385172946150372"));
    assert_eq!(config.sip.aliases, ["a.example", "b.example"]);
    assert_eq!(config.prices.channel.0.to_string(), "7.50");
}

#[test]
fn a_wrong_variable_is_named() {
    let message = refused(MINIMAL, &[("SIPGW__REGISTRATION__NAT_S", "soon")]);
    assert!(
        message.starts_with("environment variable SIPGW__REGISTRATION__NAT_S, key registration.nat_s: "),
        "{message}"
    );
    let message = refused(MINIMAL, &[("SIPGW__NODE__DOMIAN", "x")]);
    assert!(message.starts_with("environment variable SIPGW__NODE__DOMIAN"), "{message}");
    assert!(message.ends_with("Did you mean `domain`?"), "{message}");
}

#[test]
fn contradictions_are_found_all_at_once() {
    let text = "node:\n  domain: sip.example.com\nsip:\n  listen:\n    - transport: tls\n      address: 0.0.0.0:5061\nregistration:\n  nat_s: 10\n";
    let error = read(text, &[]).unwrap_err();
    let paths: Vec<(&str, Option<usize>)> = error.faults.iter().map(|f| (f.path.as_str(), f.line)).collect();
    assert_eq!(
        paths,
        [
            ("sip.listen[0].advertise", Some(5)),
            ("registration.min_s", Some(7)),
            ("tls.certificate", None),
            ("tls.key", None),
            ("media.addresses", None),
        ]
    );
}

#[test]
fn each_contradiction_names_its_key() {
    for (more, path) in [
        ("calls: {max_forwards: 70}", "calls.max_forwards"),
        ("calls: {no_answer_s: 5}", "calls.carrier_patience_s"),
        ("http: {token: \"\"}", "http.token"),
        ("http: {metrics_token: \"two words\"}", "http.metrics_token"),
        ("http: {payment_secret: change-me-as-well}", "http.payment_secret"),
        ("http: {token: the-operators-token, metrics_token: the-operators-token}", "http.metrics_token"),
        ("http: {trusted_proxies: [10.0.0.1, 0.0.0.0/0]}", "http.trusted_proxies[1]"),
        ("store: {url: \"postgres://sipgw:password@localhost/sipgw\"}", "store.url"),
        ("store: {path: a.db, key_file: a.db}", "store.key_file"),
        ("store: {patience_ms: 4000}", "store.patience_ms"),
        ("prices: {bundle_minutes: 0}", "prices.bundle_minutes"),
        ("registration: {nat_s: 10}", "registration.min_s"),
        ("tls: {client_ca: nowhere.pem}", "tls.client_ca"),
    ] {
        let text = format!("{MINIMAL}{more}\n");
        let error = read(&text, &[]).expect_err(more);
        let paths: Vec<(&str, Option<usize>)> =
            error.faults.iter().map(|f| (f.path.as_str(), f.line)).collect();
        assert!(paths.contains(&(path, Some(9))), "{more}: {error}");
    }
    for (variable, path) in [
        ("SIPGW__SIP__LIMITS__TRANSACTIONS", "sip.limits.transactions"),
        ("SIPGW__SIP__CONNECTIONS__TOTAL", "sip.connections.per_source"),
    ] {
        let message = refused(MINIMAL, &[(variable, "50")]);
        assert!(message.contains(&format!("key {path}: ")), "{message}");
    }
    let message = refused(&MINIMAL.replace("udp", "tcp").replace("192.0.2.10:5060", "127.0.0.1:8060"), &[]);
    assert!(message.contains("key http.listen: 127.0.0.1:8060 is taken by sip.listen[0]"), "{message}");
    let everywhere = MINIMAL.replace("5060\"", "5060\", advertise: 0.0.0.0");
    assert!(refused(&everywhere, &[]).contains("key sip.listen[0].advertise"));
}

#[test]
fn sip_and_rtp_ports_must_not_overlap() {
    let text = MINIMAL.replace(":5060", ":20010");
    let message = refused(&text, &[]);
    assert!(message.contains("the SIP port 20010 lies within the RTP ports 20000-29999"), "{message}");
}

#[test]
fn what_others_can_reach_needs_a_token() {
    let text = format!("{MINIMAL}http:\n  listen: 0.0.0.0:8060\n");
    assert!(refused(&text, &[]).contains("line 10, key http.listen"));
    assert!(read(&text, &[("SIPGW__HTTP__TOKEN", "4b7c0a3c5ae0b3f7e1c2d9f8")]).is_ok());
}

#[test]
fn a_weak_secret_is_refused_with_its_key_and_the_cure() {
    let text = format!("{MINIMAL}http:\n  token: a\n");
    assert_eq!(
        refused(&text, &[]),
        "sipgw.yaml, line 10, key http.token: this is shorter than 16 characters. Write one such as `openssl rand -hex \
         24` prints."
    );
    let message = refused(MINIMAL, &[("SIPGW__HTTP__METRICS_TOKEN", "change-me-too")]);
    assert!(
        message.starts_with("environment variable SIPGW__HTTP__METRICS_TOKEN, key http.metrics_token: "),
        "{message}"
    );
}

#[test]
fn proxies_are_networks_or_addresses() {
    let read = |list: &str| read(&format!("{MINIMAL}http:\n  trusted_proxies: {list}\n"), &[]);
    let named = read("[127.0.0.1, 10.1.2.3/8, \"2001:db8::/48\"]").unwrap().http.trusted_proxies;
    assert_eq!(named, ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/48"].map(|text| text.parse().unwrap()));
    let message = read("[nginx]").unwrap_err().to_string();
    assert_eq!(
        message,
        "sipgw.yaml, line 10, key http.trusted_proxies: \"nginx\" is not an address. Write an address or a network such \
         as 10.0.0.0/8."
    );
}

#[test]
fn what_is_not_yaml_is_refused_with_its_line() {
    let message = refused("node:\n  domain: \"open\nsip: 1\n", &[]);
    assert!(message.starts_with("sipgw.yaml, line "), "{message}");
    assert!(message.contains("not YAML"), "{message}");
    assert!(refused("node: {domain: a}\nnode: {domain: b}\n", &[]).contains("line 2"));
}

#[test]
fn a_secret_of_a_wrong_type_is_not_repeated() {
    let message = refused(&format!("{MINIMAL}http:\n  token: 4711\n"), &[]);
    assert_eq!(message, "sipgw.yaml, line 10, key http.token: this is not text. Put it in quotes.");
}

#[test]
fn a_section_of_comments_is_the_default() {
    assert!(read(&format!("{MINIMAL}tls:\n  # certificate: x\n"), &[]).is_ok());
}

#[test]
fn a_spend_guard_that_contradicts_itself_is_refused_with_the_key() {
    let guard = |keys: &str| refused(&format!("{MINIMAL}calls:\n  spend_guard:\n{keys}"), &[]);
    let message = guard("    allowed_countries: [EE, US]\n    denied_countries: [CU, EE]\n");
    assert_eq!(
        message,
        "sipgw.yaml, line 12, key calls.spend_guard.denied_countries: EE is both allowed and denied. Take it off \
         one of the lists."
    );
    assert!(guard("    warn_percent: 180\n").contains("line 11, key calls.spend_guard.warn_percent: 180 %"));
    assert!(
        guard("    hour_cap: 3\n    day_cap: 2.50\n").contains("the hour's cap of 3.00 is above the day's")
    );
    assert!(guard("    denied_countries: [Cuba]\n").contains("\"Cuba\" is not a country"));
    let text = format!("{MINIMAL}calls:\n  spend_guard:\n    hour_cap: 20\n    longest_call_s: 7200\n");
    let guard = read(&text, &[]).unwrap().calls.spend_guard.guard();
    assert_eq!((guard.hour_cap.map(|cap| cap.0), guard.longest_call_s), (Some(20_000_000), Some(7_200)));
}

#[test]
fn a_missing_file_is_named() {
    let message = from_file(Path::new("/nowhere/sipgw.yaml"), HashMap::new()).unwrap_err().to_string();
    assert!(message.starts_with("/nowhere/sipgw.yaml: the file cannot be read"), "{message}");
}

mod example {
    use super::*;
    use sip_core::types::SecureMedia;

    fn shipped() -> Config {
        Config::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sipgw.yaml"))).unwrap()
    }

    /// What the example must set to be usable at all; everything else in it is shown at its default.
    #[test]
    fn the_example_shows_every_default() {
        let mut config = shipped();
        assert!(!config.sip.listen.is_empty() && !config.media.addresses.is_empty());
        let defaults = Config::default();
        config.directory = PathBuf::new();
        config.file = None;
        config.node = defaults.node.clone();
        config.sip.listen.clear();
        config.media.addresses.clear();
        config.tls.certificate = None;
        config.tls.key = None;
        config.calls.emergency_file = None;
        assert_eq!(config, defaults);
    }

    #[test]
    fn the_emergency_numbers_are_read() {
        let settings = shipped().settings(Vec::new()).unwrap();
        assert!(settings.calls.emergency["US"].contains("911"));
        assert!(settings.calls.emergency["DE"].contains("110"));
        assert!(settings.calls.emergency["*"].contains("112"));
    }

    #[test]
    fn what_makes_of_pbxs_do_is_read_with_and_without_a_file() {
        let mut config = shipped();
        let built_in = config.settings(Vec::new()).unwrap().makes;
        let secure = |name: &str| built_in.secure(name);
        assert_eq!(secure("FPBX-17.0.33(22.10.1)"), Some(SecureMedia::Required));
        assert_eq!(secure("Grandstream UCM6302V1.3A 1.0.27.10"), Some(SecureMedia::Optional));
        assert_eq!(secure("Panasonic-MPR/1"), Some(SecureMedia::Off));
        assert_eq!(secure("sipgo"), None);
        config.calls.user_agents_file = Some("user-agents.yaml".into());
        assert_eq!(config.settings(Vec::new()).unwrap().makes, built_in);
    }

    #[test]
    fn a_make_that_fits_every_pbx_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("makes.yaml");
        for (text, culprit) in
            [("- {begins: ' ', srtp: off}", "begins"), ("- {begins: x, srtp: maybe}", "srtp")]
        {
            std::fs::write(&file, text).unwrap();
            let mut config = shipped();
            config.calls.user_agents_file = Some(file.clone());
            let error = config.user_agents().unwrap_err().to_string();
            assert!(error.contains(culprit) && error.contains("makes.yaml"), "{error}");
        }
    }
}
