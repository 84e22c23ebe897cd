//! Who may read or change a file that holds a secret, or that decides who is believed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Rights that only the owner may have on the key of the database.
pub(crate) const GROUP_OR_OTHERS: u32 = 0o077;
/// Rights that are too many on a file with a secret of the configuration: a group may be let in to read.
pub(crate) const OTHERS_OR_WRITING: u32 = 0o027;
/// Rights to change a file.
pub(crate) const WRITING: u32 = 0o022;
/// The right of all users to change a file. A group may have it on the configuration: it is what some users' files have
/// from the start.
const WRITING_BY_ALL: u32 = 0o002;
/// The right of all users to read a file.
pub(crate) const READING: u32 = 0o004;

/// What is wrong with a file that every user may change, and the cure.
pub(crate) fn writable_by_all(file: &Path) -> Option<(String, String)> {
    let mode = of(file, WRITING_BY_ALL)?;
    let shown = file.display();
    let problem = format!("{shown} can be changed by every user of this machine (mode {mode:03o})");
    Some((problem, format!("chmod o-w {shown}")))
}

/// The mode of a file if it grants any of these rights. What systemd has handed over as a credential is for this process
/// alone, though its mode shows the access list's mask as the rights of a group.
pub(crate) fn of(file: &Path, rights: u32) -> Option<u32> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if credentials.is_some_and(|folder| file.starts_with(folder)) {
        return None;
    }
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & rights != 0).then_some(mode)
}
