//! In whose name a command changes things: the audit trail shows it.

use std::os::unix::fs::MetadataExt;

use provisioning_store::audit::Deed;
use sipgw::storage;

/// Options that say how a command prints or where it reads, not what it does.
const ASIDE: [&str; 2] = ["--json", "--config"];

/// What the command line of this process is recorded as.
pub(crate) fn of_this_command() -> Deed {
    Deed {
        at: storage::now(),
        actor: user(),
        origin: "command line".to_owned(),
        company: None,
        action: action(std::env::args().skip(1)),
        detail: String::new(),
        once: None,
    }
}

/// The words of a command without those that do not matter to what it does. Secrets are never among them: commands read
/// them from files.
fn action(words: impl Iterator<Item = String>) -> String {
    let mut kept = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--config" => drop(words.next()),
            word if ASIDE.iter().any(|aside| word.starts_with(aside)) => {}
            word if word.contains(' ') => kept.push(format!("\"{word}\"")),
            word => kept.push(word.to_owned()),
        }
    }
    kept.join(" ")
}

/// The user that the system runs this process for; the environment could say anything.
fn user() -> String {
    let Ok(process) = std::fs::metadata("/proc/self") else { return "unknown user".to_owned() };
    let uid = process.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("user {uid}"), |name| format!("user {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_recorded_by_what_it_does() {
        let words = ["--config", "/etc/sipgw/a.yaml", "profile", "rename", "7", "Sales East", "--json"];
        assert_eq!(action(words.into_iter().map(str::to_owned)), "profile rename 7 \"Sales East\"");
        let words = ["--config=/a.yaml", "company", "list"];
        assert_eq!(action(words.into_iter().map(str::to_owned)), "company list");
    }

    #[test]
    fn the_user_has_a_name() {
        assert!(user().starts_with("user "), "{}", user());
    }
}
