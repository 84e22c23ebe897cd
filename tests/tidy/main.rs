//! Holds the rules of ARCHITECTURE.md against the sources, so that nobody has to remember them.

mod source;

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{Source, collect, root, sources};

/// Lines of code that hold `needle` as a word of its own, comments left out.
fn mentions<'a>(text: &'a str, needle: &str) -> Vec<&'a str> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let is_word = |line: &&str| {
        line.match_indices(needle).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    };
    text.lines().filter(is_code).filter(is_word).collect()
}

/// Fails with every place in `offenders`.
fn none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

/// The places where `needle` stands in production code of files that `is_subject`.
fn places(needle: &str, is_subject: impl Fn(&str) -> bool) -> Vec<String> {
    let hits = |source: &Source| -> Vec<String> {
        mentions(&source.production, needle)
            .iter()
            .map(|line| format!("  {}: {}", source.path, line.trim()))
            .collect()
    };
    sources().iter().filter(|source| is_subject(&source.path)).flat_map(hits).collect()
}

#[test]
fn each_walled_crate_is_named_behind_its_wall_only() {
    let walls = [
        ("rsip::", "crates/sip-core/src/message/codec.rs"),
        ("webrtc_srtp::", "crates/media-relay/src/srtp/reference.rs"),
        ("sqlx::", "crates/provisioning-store/src/sql"),
    ];
    for (name, wall) in walls {
        let outside =
            |path: &str| !path.starts_with(wall) && (path.starts_with("crates/") || path.starts_with("src/"));
        // What the wall is for is the product; a test may have to speak of what stands behind it.
        let is_aside = |path: &str| path.contains("/benches/") || path.contains("/tests/");
        none(&format!("{name} outside {wall}"), &places(name, |path| outside(path) && !is_aside(path)));
        assert!(
            !places(name, |path| path.starts_with(wall)).is_empty(),
            "{name} has left {wall}: move the wall"
        );
    }
}

#[test]
fn the_three_crates_do_not_know_each_other() {
    let crates = [
        ("sip-core", "sip_core"),
        ("media-relay", "media_relay"),
        ("provisioning-store", "provisioning_store"),
    ];
    for (folder, own) in crates {
        for (_, other) in crates.iter().filter(|(_, other)| *other != own) {
            let home = format!("crates/{folder}/");
            none(
                &format!("{other} in {folder}"),
                &places(&format!("{other}::"), |path| path.starts_with(&home)),
            );
        }
    }
}

/// What a pure file does not name: tasks, threads, sockets, files, clocks and chance.
const IMPURE: [&str; 10] = [
    "tokio::",
    "std::thread",
    "std::fs",
    "std::env",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "Instant::now",
    "SystemTime::now",
    "getrandom::",
    "rand::rng",
];

#[test]
fn what_is_said_to_be_pure_is_pure() {
    let store = [
        "cdr.rs",
        "directory.rs",
        "ledger.rs",
        "ledger/",
        "lifecycle.rs",
        "memory.rs",
        "model.rs",
        "model/",
        "money.rs",
        "rating.rs",
        "rating/",
        "registrations.rs",
        "standby.rs",
    ]
    .map(|part| format!("crates/provisioning-store/src/{part}"));
    let others = ["crates/sip-core/src/", "crates/media-relay/src/session/", "crates/media-relay/src/srtp/"];
    let pure: Vec<String> = others.map(str::to_owned).into_iter().chain(store).collect();
    let all = sources();
    for place in &pure {
        assert!(all.iter().any(|source| source.path.starts_with(place)), "{place} is not there any more");
    }
    let is_pure = |path: &str| pure.iter().any(|place| path.starts_with(place.as_str()));
    for word in IMPURE {
        none(&format!("{word} in pure code"), &places(word, is_pure));
    }
}

/// The path of the module that a file of sip-core is, from the crate's root.
fn module_of(path: &str) -> Vec<&str> {
    let inside = path.strip_prefix("crates/sip-core/src/").unwrap_or(path);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" { Vec::new() } else { stem.split('/').collect() }
}

/// The first names behind a path's `::`: one, or those of a group's members.
fn names_behind(rest: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..name(rest)]] };
    let (mut depth, mut begins, mut names) = (0_u32, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !letter.is_whitespace() => {
                names.push(&group[at..at + name(&group[at..])]);
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The modules at sip-core's root that a file's production code looks at, by `crate::` or `super::`, alone or grouped.
fn looks_at(path: &str, code: &str) -> Vec<String> {
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|l| [l, "\n"]).collect();
    let own = module_of(path);
    let is_inside_a_word =
        |at: usize| code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let mut seen = Vec::new();
    for (prefix, root) in [("crate::", Some(0)), ("super::", None)] {
        for (at, _) in code.match_indices(prefix).filter(|(at, _)| !is_inside_a_word(*at)) {
            let mut rest = &code[at + prefix.len()..];
            let mut depth = root.unwrap_or_else(|| own.len().saturating_sub(1));
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, depth) = (further, depth.saturating_sub(1));
            }
            match own[..depth].first() {
                Some(module) => seen.push((*module).to_owned()),
                None => seen.extend(names_behind(rest).into_iter().map(str::to_owned)),
            }
        }
    }
    seen
}

#[test]
fn grouped_and_relative_paths_are_seen() {
    let code = "use crate::{call::{Plan, gateway_of}, rng::Rng};\nuse super::super::dialog;\nlet x = crate::route::y();";
    assert_eq!(looks_at("crates/sip-core/src/auth/ip.rs", code), ["call", "rng", "route", "dialog"]);
    let code = "use super::{limits, registrar};\nuse self::x;\n// crate::call::Plan";
    assert_eq!(looks_at("crates/sip-core/src/dialog.rs", code), ["limits", "registrar"]);
    assert_eq!(looks_at("crates/sip-core/src/auth/mod.rs", "use super::guard;"), ["guard"]);
    assert_eq!(looks_at("crates/sip-core/src/auth/ip.rs", "use super::digest;"), ["auth"]);
}

#[test]
fn the_signalling_core_looks_downwards_only() {
    // What joins everything; nobody below knows it.
    const TOP: [&str; 4] = ["call", "gateway", "request", "unopened"];
    let layers: [(&str, &[&str]); 10] = [
        (
            "message/",
            &[
                "transaction",
                "dialog",
                "registrar",
                "authenticator",
                "route",
                "directory",
                "settings",
                "sdp",
                "auth",
            ],
        ),
        ("auth/", &["transaction", "dialog", "registrar", "authenticator", "route", "sdp"]),
        ("sdp/", &["transaction", "dialog", "registrar", "authenticator", "route", "auth"]),
        ("transaction/", &["dialog", "registrar", "authenticator", "route", "directory"]),
        ("dialog/", &["registrar", "authenticator", "route"]),
        ("registrar", &["authenticator"]),
        ("route.rs", &["registrar", "authenticator", "transaction", "dialog"]),
        ("caller.rs", &["route", "registrar", "authenticator", "transaction", "dialog"]),
        ("number.rs", &["route", "caller", "registrar", "authenticator", "transaction", "dialog"]),
        ("authenticator.rs", &["route", "transaction", "dialog"]),
    ];
    let all = sources();
    for (layer, above) in layers {
        let place = format!("crates/sip-core/src/{layer}");
        let mut found = Vec::new();
        for source in all.iter().filter(|source| source.path.starts_with(&place)) {
            let seen = looks_at(&source.path, &source.production);
            let up =
                seen.iter().filter(|name| above.contains(&name.as_str()) || TOP.contains(&name.as_str()));
            found.extend(up.map(|name| format!("  {} looks up to {name}", source.path)));
        }
        none(layer, &found);
    }
}

#[test]
fn there_is_no_unsafe_code() {
    let is_product =
        |path: &str| path.starts_with("src/") || (path.starts_with("crates/") && path.contains("/src/"));
    none("unsafe", &places("unsafe ", is_product));
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("it can be read");
    assert!(workspace.contains("\nunsafe_code = \"forbid\"\n"), "the lint of the workspace forbids it");
    for member in ["", "crates/sip-core", "crates/media-relay", "crates/provisioning-store"] {
        let file = root().join(member).join("Cargo.toml");
        let text = fs::read_to_string(&file).expect("it can be read");
        assert!(text.contains("[lints]\nworkspace = true\n"), "{} has lints of its own", file.display());
    }
}

#[test]
fn sums_of_money_are_checked_in_a_release() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("it can be read");
    let section = text.split("[profile.release.package.provisioning-store]").nth(1).unwrap_or_default();
    assert!(
        section
            .lines()
            .take_while(|line| !line.starts_with('['))
            .any(|line| line == "overflow-checks = true")
    );
}

#[test]
fn nothing_is_left_unfinished() {
    // Split, so that this file does not find itself.
    for word in
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")]
    {
        let found: Vec<_> = sources()
            .iter()
            .filter(|source| source.text.contains(word))
            .map(|source| format!("  {}", source.path))
            .collect();
        none(word, &found);
    }
    let ignored: Vec<_> = sources()
        .iter()
        .filter(|source| source.text.contains(concat!("#[ig", "nore")))
        .map(|source| format!("  {}", source.path))
        .collect();
    none("an ignored test", &ignored);
}

/// A comment gives its reason itself: a reader cannot open what is not in this repository.
#[test]
fn nothing_refers_to_what_readers_do_not_have() {
    // Split, so that this file does not find itself.
    let elsewhere = [
        concat!("rules", ".md"),
        concat!("house", ".md"),
        concat!("interop", ".md"),
        concat!("interop", ":"),
        concat!("../", "shared"),
        concat!("/wo", "rk/"),
    ];
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Cargo.toml"]
            .map(|file| root().join(file))
            .into();
    for folder in ["src", "crates", "tests", "benches", "config", "deploy", "fuzz/targets"] {
        collect(&root().join(folder), &["rs", "md", "toml", "yaml", "sql", "py", "csv", "json"], &mut paths);
    }
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("it is text");
        let named = elsewhere.iter().filter(|word| text.contains(**word));
        found.extend(named.map(|word| format!("  {}: {word}", path.display())));
    }
    none("words that lead nowhere", &found);
}

#[test]
fn every_file_keeps_to_one_subject() {
    /// Longer files have two subjects.
    const LINES_MAX: usize = 600;
    let long: Vec<_> = sources()
        .iter()
        .filter(|source| source.path.contains("src/"))
        .map(|source| (source.production.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("  {path}: {lines} lines"))
        .collect();
    none("files longer than 600 lines", &long);
}

#[test]
fn every_function_is_short() {
    /// Longer functions do several things.
    const LINES_MAX: usize = 70;
    let is_product = |source: &&Source| source.path.starts_with("src/") || source.path.contains("/src/");
    let mut long = Vec::new();
    for source in sources().iter().filter(is_product) {
        let functions = source.functions.iter().filter(|function| function.lines > LINES_MAX);
        long.extend(functions.map(|it| format!("  {}: {} has {} lines", source.path, it.name, it.lines)));
    }
    none("functions longer than 70 lines", &long);
}

/// Every file of a folder, with its text.
fn files_of(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_of(&path));
        } else {
            let text = fs::read_to_string(&path).expect("what is deployed is text");
            found
                .push((path.strip_prefix(root()).expect("it is below the root").display().to_string(), text));
        }
    }
    found
}

/// The words that look like metrics of ours, without the endings that a histogram's series have.
fn metrics_in(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("sipgw_"));
    words
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
        .collect()
}

#[test]
fn what_is_deployed_asks_for_metrics_that_there_are() {
    let names = ["src/metrics.rs", "src/metrics/profiles.rs"]
        .map(|file| fs::read_to_string(root().join(file)).expect("the metrics can be read"))
        .concat();
    let mut asked = 0;
    for (path, text) in files_of(&root().join("deploy")) {
        for metric in metrics_in(&text) {
            assert!(names.contains(&format!("\"{metric}\"")), "{path} asks for {metric}, which there is not");
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked} metrics are asked for: the search is broken");
}

#[test]
fn what_is_deployed_can_be_read() {
    for (path, text) in files_of(&root().join("deploy")) {
        match Path::new(&path).extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let board: serde_json::Value =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
                let panels = board["panels"].as_array().unwrap_or_else(|| panic!("{path} has no panels"));
                let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), panels.len(), "{path}: a panel's id is there twice");
            }
            Some("yaml") => {
                use saphyr::LoadableYamlNode;
                let documents = saphyr::Yaml::load_from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
                assert_eq!(documents.len(), 1, "{path}");
            }
            _ => {}
        }
    }
}

#[test]
fn the_container_copies_what_there_is() {
    let file = fs::read_to_string(root().join("deploy/Containerfile")).expect("it can be read");
    let toolchain = fs::read_to_string(root().join("Cargo.toml")).expect("it can be read");
    let version = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let image = format!("rust:{}-", version.trim_matches('"'));
    assert!(file.contains(&image), "the image is older or newer than the rust-version of Cargo.toml");
    assert!(file.contains("cargo build --release --locked --bin sipgw"));
    assert!(file.contains("COPY --from=build /build/target/release/sipgw "));
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("it can be read");
    for needed in ["Cargo.toml", "Cargo.lock", "src", "crates", "config"] {
        assert!(root().join(needed).exists() && !ignored.lines().any(|line| line == needed), "{needed}");
    }
}
