//! Where commands of this machine reach a running gateway: the API, metrics and health on a socket beside the database.
//! Whoever may open the socket may read the database too, so no token is asked for, and what happens on the network
//! keeps nobody out.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::Router;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::operator::Operator;

/// For the user of the gateway alone, and for root.
const MODE: u32 = 0o600;
/// Connections that wait to be accepted.
const WAITING: i32 = 64;
/// Longest path that fits into a socket's address, its end included (unix(7)).
const PATH_LONGEST: usize = 108;

/// Serves these pages on a socket at `path` until `stop` is cancelled, and takes the socket away at once then: the next gateway's
/// would have the same name.
pub(crate) fn serve(
    listener: UnixListener,
    path: PathBuf,
    pages: Router,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let service = pages.into_make_service_with_connect_info::<Operator>();
    let stopped = async move {
        stop.cancelled().await;
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "The socket for commands is left behind.");
        }
    };
    let server = axum::serve(listener, service).with_graceful_shutdown(stopped);
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "The socket for commands ended.");
        }
    })
}

/// Listens at `path`. Only the owner of the database may call this: a socket that an earlier process left there is
/// replaced.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Its file begins with the rights of the socket, so there is no moment in which others could open it.
    let unbound = File::from(OwnedFd::from(socket));
    unbound.set_permissions(Permissions::from_mode(MODE))?;
    let socket = Socket::from(OwnedFd::from(unbound));
    let short = Short::of(path)?;
    socket.bind(&SockAddr::unix(&short.path)?)?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Connects to the gateway that serves at `path`; `None` if none does.
pub async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    let short = match Short::of(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        short => short?,
    };
    match UnixStream::connect(&short.path).await {
        Ok(stream) => Ok(Some(stream)),
        // Not there, or left behind by one that was killed.
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A path that fits into a socket's address: a longer one is named by its folder's descriptor.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Self> {
        let parts = path.parent().zip(path.file_name());
        match parts.filter(|_| path.as_os_str().len() >= PATH_LONGEST) {
            None => Ok(Self { path: path.to_owned(), _folder: None }),
            Some((folder, name)) => {
                let folder = File::open(folder)?;
                let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
                Ok(Self { path, _folder: Some(folder) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_replaces_one_that_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(PATH_LONGEST));
        std::fs::create_dir(&deep).unwrap();
        for path in [folder.path().join("sipgw.db.socket"), deep.join("sipgw.db.socket")] {
            assert!(connect(&path).await.unwrap().is_none());
            drop(bind(&path).unwrap());
            assert!(path.exists() && connect(&path).await.unwrap().is_none(), "left behind");
            let listener = bind(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
            let ours = connect(&path).await.unwrap().expect("it listens");
            let (theirs, _) = listener.accept().await.unwrap();
            assert_eq!(theirs.peer_cred().unwrap().uid(), ours.peer_cred().unwrap().uid());
        }
    }
}
