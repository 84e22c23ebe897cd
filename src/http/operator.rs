//! Whoever sits at this machine and may open the database: an operator, with the name of the user.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// Somebody of this machine who may do everything.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// As the audit trail shows it.
    pub(super) name: String,
}

impl Operator {
    /// The user whom this process runs for; the environment could say anything.
    pub(super) fn of_this_process() -> Self {
        use std::os::unix::fs::MetadataExt;
        Self::of(std::fs::metadata("/proc/self").ok().map(|process| process.uid()))
    }

    fn of(uid: Option<u32>) -> Self {
        let Some(uid) = uid else { return Self { name: "unknown user".to_owned() } };
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| format!("user {name}"))
        });
        Self { name: name.unwrap_or_else(|| format!("user {uid}")) }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Operator {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::of(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_has_a_name() {
        let name = Operator::of_this_process().name;
        assert!(name.starts_with("user "), "{name}");
        assert_eq!(Operator::of(Some(4_000_000_001)).name, "user 4000000001");
    }
}
