//! Secrets in files of their own, so that everybody may read the configuration.

use std::path::PathBuf;

use super::check::Found;
use super::{Config, Secret, exposure};

/// A secret of the configuration: its key, where it stands, and the file that may hold it.
struct Held<'c> {
    key: &'static str,
    secret: &'c mut Option<Secret>,
    file: Option<PathBuf>,
}

fn all(config: &mut Config) -> [Held<'_>; 4] {
    let (http, store) = (&mut config.http, &mut config.store);
    [
        Held { key: "http.token", file: http.token_file.clone(), secret: &mut http.token },
        Held {
            key: "http.metrics_token",
            file: http.metrics_token_file.clone(),
            secret: &mut http.metrics_token,
        },
        Held {
            key: "http.payment_secret",
            file: http.payment_secret_file.clone(),
            secret: &mut http.payment_secret,
        },
        Held { key: "store.url", file: store.url_file.clone(), secret: &mut store.url },
    ]
}

/// Reads the secrets that are in files. Gives what is wrong with them.
pub(super) fn read(config: &mut Config) -> Vec<Found> {
    let folder = config.directory.clone();
    let mut faults = Vec::new();
    for Held { key, secret, file } in all(config) {
        let Some(file) = file.map(|file| folder.join(file)) else { continue };
        let shown = file.display();
        let fault = |problem: String, cure: String| Found { path: format!("{key}_file"), problem, cure };
        if secret.is_some() {
            faults.push(fault(format!("{key} is there as well"), "Leave one of the two out.".to_owned()));
            continue;
        }
        match std::fs::read_to_string(&file) {
            Ok(text) => *secret = Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
            Err(error) => {
                faults
                    .push(fault(format!("{shown} cannot be read: {error}"), "Correct the path.".to_owned()));
                continue;
            }
        }
        if let Some(mode) = exposure::of(&file, exposure::OTHERS_OR_WRITING) {
            let problem = format!("{shown} can be read or changed by others (mode {mode:03o})");
            faults.push(fault(problem, format!("chmod 600 {shown}")));
        }
    }
    faults
}

/// The key that a secret was read by.
pub(super) fn key_of(key: &'static str, file: Option<&PathBuf>) -> String {
    if file.is_some() { format!("{key}_file") } else { key.to_owned() }
}

/// Secrets that more people can read than need to.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(file) = config.file.as_ref().filter(|file| exposure::of(file, exposure::READING).is_some()) {
        let inline = [
            ("http.token", config.http.token.is_some() && config.http.token_file.is_none()),
            (
                "http.metrics_token",
                config.http.metrics_token.is_some() && config.http.metrics_token_file.is_none(),
            ),
            (
                "http.payment_secret",
                config.http.payment_secret.is_some() && config.http.payment_secret_file.is_none(),
            ),
            ("store.url", config.store.url.is_some() && config.store.url_file.is_none()),
        ];
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // One from the environment does not stand in the file.
        let stands =
            |key: &str| key.rsplit('.').next().is_some_and(|name| text.contains(&format!("{name}:")));
        warnings.extend(inline.iter().filter(|(key, is_inline)| *is_inline && stands(key)).map(|(key, _)| {
            format!(
                "{} can be read by everybody and holds {key}; put it into a file of its own ({key}_file), or chmod 640.",
                file.display()
            )
        }));
    }
    if let Some(key) = config.tls.key.as_ref().map(|key| config.resolve_path(key))
        && let Some(mode) = exposure::of(&key, exposure::READING)
    {
        warnings.push(format!("{} can be read by everybody (mode {mode:03o}); chmod 640.", key.display()));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    const TEXT: &str = "node: {domain: sip.example.com}\nsip: {listen: [{transport: udp, address: \"192.0.2.10:5060\"}]}\n\
        media: {addresses: [{bind: 192.0.2.10}]}\n";

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_may_be_in_a_file_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, token) = (folder.path().join("sipgw.yaml"), folder.path().join("token"));
        write(&file, &format!("{TEXT}http: {{token_file: token}}\n"), 0o644);
        for mode in [0o600, 0o400, 0o640] {
            write(&token, "the-operators-token\n", 0o600);
            std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
            let config = Config::load(&file).unwrap();
            assert_eq!(config.http.token, Some(Secret::new("the-operators-token")));
            assert!(
                config.warnings().is_empty() && config.files().contains(&token),
                "{:?}",
                config.warnings()
            );
        }
        let refused = || Config::load(&file).unwrap_err().to_string();
        for (mode, shown) in [(0o644, "644"), (0o666, "666"), (0o620, "620")] {
            std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
            let message = refused();
            assert!(message.contains("key http.token_file: ") && message.contains(shown), "{message}");
            assert!(message.contains("chmod 600"), "{message}");
        }
        write(&token, "change-me\n", 0o600);
        assert!(refused().contains("key http.token_file: this is a sample"), "{}", refused());
        std::fs::remove_file(&token).unwrap();
        assert!(
            refused().contains("key http.token_file: ") && refused().contains("cannot be read"),
            "{}",
            refused()
        );
        write(&file, &format!("{TEXT}http: {{token_file: token, token: the-operators-token}}\n"), 0o644);
        assert!(refused().contains("key http.token_file: http.token is there as well."), "{}", refused());
    }

    #[test]
    fn a_configuration_with_secrets_that_everybody_can_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sipgw.yaml");
        let text = format!("{TEXT}http: {{token: the-operators-token}}\n");
        write(&file, &text, 0o644);
        let [warning] = <[String; 1]>::try_from(Config::load(&file).unwrap().warnings()).unwrap();
        assert!(
            warning.contains("holds http.token;") && !warning.contains("the-operators-token"),
            "{warning}"
        );
        write(&file, &text, 0o640);
        assert!(Config::load(&file).unwrap().warnings().is_empty());
    }

    #[test]
    fn a_configuration_that_everybody_can_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, emergency) = (folder.path().join("sipgw.yaml"), folder.path().join("emergency.yaml"));
        write(&file, TEXT, 0o666);
        let refused = || Config::load(&file).unwrap_err().to_string();
        assert!(refused().contains("sipgw.yaml can be changed by every user"), "{}", refused());
        write(&file, TEXT, 0o664);
        Config::load(&file).unwrap();
        write(&emergency, "US: [\"911\"]\n", 0o666);
        write(&file, &format!("{TEXT}calls: {{emergency_file: emergency.yaml}}\n"), 0o644);
        assert!(refused().contains("key calls.emergency_file: "), "{}", refused());
        assert!(refused().contains("chmod o-w"), "{}", refused());
        for key in ["premium_file", "user_agents_file"] {
            write(&file, &format!("{TEXT}calls: {{{key}: emergency.yaml}}\n"), 0o644);
            assert!(refused().contains(&format!("key calls.{key}: ")), "{}", refused());
        }
    }
}
