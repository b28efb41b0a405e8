//! Small packets to a server go out at once. sqlx 0.9.0 leaves Nagle's algorithm on, and a server answers nothing to the end of a
//! prepared statement: what follows it on the connection waits for an acknowledgement that comes after 40 ms. The socket is inside of sqlx,
//! so it is found among those of this process by whom it is connected to. A release of sqlx that does it by itself spares this file.

use std::net::SocketAddr;
use std::time::Duration;

/// How long a connection waits for it; what takes longer goes on beside it.
const PATIENCE: Duration = Duration::from_millis(200);

/// Open files that are looked at; a process with more of them leaves its connections as they are.
#[cfg(target_os = "linux")]
const FILES_MAX: usize = 16_384;

/// Turns delays off on the connections to a server. What the system does not allow stays as it is: slower, and right.
pub(crate) async fn send_at_once(host: &str, port: u16) {
    let set = async {
        let Ok(peers) = tokio::net::lookup_host((host, port)).await else { return };
        let peers: Vec<SocketAddr> = peers.collect();
        match tokio::task::spawn_blocking(move || set_on_sockets_to(&peers)).await {
            Ok(Ok(sockets)) => tracing::trace!(sockets, "TCP_NODELAY"),
            Ok(Err(error)) => tell_once(&error),
            Err(error) => tracing::debug!(%error, "TCP_NODELAY was not set"),
        }
    };
    if tokio::time::timeout(PATIENCE, set).await.is_err() {
        tracing::debug!("TCP_NODELAY took too long to set");
    }
}

/// Says once what an operator can change.
fn tell_once(error: &std::io::Error) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        tracing::info!(%error, "statements over MariaDB and MySQL may wait for 40 ms now and then: TCP_NODELAY cannot be set, for which the \
            system is to permit pidfd_open and pidfd_getfd");
    });
}

/// Sets it on the sockets that are connected to one of these; how many there are.
///
/// # Errors
/// The system does not let a process look at its own files.
#[cfg(target_os = "linux")]
fn set_on_sockets_to(peers: &[SocketAddr]) -> std::io::Result<usize> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use std::fs::File;
    use std::net::TcpStream;
    use std::os::fd::{IntoRawFd, OwnedFd};
    use std::os::unix::fs::FileTypeExt;

    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut found = 0;
    for file in std::fs::read_dir("/proc/self/fd")?.take(FILES_MAX) {
        let file = file?;
        let is_socket = std::fs::read_link(file.path())
            .is_ok_and(|kind| kind.to_str().is_some_and(|kind| kind.starts_with("socket:")));
        let Some(number) = file.file_name().to_str().and_then(|number| number.parse().ok()).filter(|_| is_socket)
        else {
            continue;
        };
        let copy = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(copy) => File::from(copy),
            // Another thread has closed the socket meanwhile.
            Err(rustix::io::Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        // And may have opened a file under its number. To close a copy of that would free the locks that SQLite has on it.
        if !copy.metadata().is_ok_and(|data| data.file_type().is_socket()) {
            let _left_open = copy.into_raw_fd();
            continue;
        }
        let socket = TcpStream::from(OwnedFd::from(copy));
        let is_to_server = socket.peer_addr().is_ok_and(|peer| peers.iter().any(|of| is_same(*of, peer)));
        // One that was closed by its peer cannot be changed, and needs not be.
        if is_to_server && (socket.nodelay().unwrap_or(false) || socket.set_nodelay(true).is_ok()) {
            found += 1;
        }
    }
    Ok(found)
}

#[cfg(not(target_os = "linux"))]
fn set_on_sockets_to(_: &[SocketAddr]) -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Addresses of version 6 also tell of a scope, which is not always known.
#[cfg(target_os = "linux")]
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip() && one.port() == other.port()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn only_sockets_to_the_server_are_changed() {
        let (server, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (address, elsewhere) = (server.local_addr().unwrap(), other.local_addr().unwrap());
        let connect = |to| TcpStream::connect::<SocketAddr>(to).unwrap();
        let (first, second, third) = (connect(address), connect(address), connect(elsewhere));
        send_at_once("127.0.0.1", address.port()).await;
        assert!(first.nodelay().unwrap() && second.nodelay().unwrap());
        assert!(!third.nodelay().unwrap());
        // No such host, and a port to which no socket is connected.
        send_at_once("no.such.name.invalid", 1).await;
        assert_eq!(set_on_sockets_to(&["127.0.0.1:1".parse().unwrap()]).unwrap(), 0);
    }
}
