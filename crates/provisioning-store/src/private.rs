//! Files that only their owner may read, regardless of the umask of the process.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// The mode of such a file.
const MODE: u32 = 0o600;
/// The rights of those who are neither its owner nor in its group.
const OF_OTHERS: u32 = 0o007;

/// Opens a file for reading and writing, and makes it if it is not there. What others may do with one that is there is
/// taken away; its group keeps what somebody has given it.
pub fn open(path: &Path) -> io::Result<File> {
    match make(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    close_to_others(path)?;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)
}

/// Makes a file that is not there. One that root makes in a folder of somebody else, such as that of a service, is theirs
/// like the rest of the folder.
pub fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let (ours, theirs) = (file.metadata()?, folder.metadata()?);
    if ours.uid() == 0 && theirs.uid() != 0 {
        fchown(&file, Some(theirs.uid()), Some(theirs.gid()))?;
    }
    Ok(file)
}

/// Sees to a database of SQLite before SQLite opens it: the file is made if it is not there, and what SQLite keeps beside it
/// gets the mode that it has. A file that is there is not opened: to close it again would take away the locks that
/// this process has on it (POSIX, fcntl).
pub(crate) fn prepare_database(path: &Path) -> io::Result<()> {
    match make(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.map(drop),
    }
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match close_to_others(Path::new(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

fn close_to_others(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OF_OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OF_OTHERS)) {
        // It is somebody else's, who says who may read it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_made_for_its_owner_and_closed_to_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sipgw.db");
        drop(open(&path).expect("it is made"));
        assert_eq!(mode(&path), 0o600);
        for (before, after) in [(0o644, 0o640), (0o666, 0o660), (0o660, 0o660)] {
            fs::set_permissions(&path, Permissions::from_mode(before)).expect("it is ours");
            drop(open(&path).expect("it is opened"));
            assert_eq!(mode(&path), after, "{before:o}");
        }
        let log = folder.path().join("sipgw.db-wal");
        fs::write(&log, "").expect("it is written");
        fs::set_permissions(&log, Permissions::from_mode(0o644)).expect("it is ours");
        prepare_database(&path).expect("it is prepared");
        assert_eq!(mode(&log), 0o640);
        let made = make(&path).expect_err("it is there");
        assert_eq!(made.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_root_makes_belongs_to_whom_the_folder_does() {
        let folder = tempfile::tempdir().expect("a folder");
        if fs::metadata(folder.path()).expect("it is there").uid() != 0 {
            return;
        }
        // Where this is not allowed to root, as in some containers, nothing can be shown.
        if std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).is_err() {
            return;
        }
        let path = folder.path().join("sipgw.db");
        drop(open(&path).expect("it is made"));
        let found = fs::metadata(&path).expect("it is there");
        assert_eq!((found.uid(), found.gid(), mode(&path)), (65_534, 65_534, 0o600));
    }
}
