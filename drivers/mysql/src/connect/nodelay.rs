//! Small packets to a server go out at once. sqlx 0.9.0 leaves Nagle's algorithm on, and a server answers nothing to the end of a
//! prepared statement: what follows it on the connection waits for an acknowledgement that comes after 40 ms. The socket is inside of sqlx,
//! so it is found among those of this process by whom it is connected to. A release of sqlx that does it by itself spares this file.

use std::net::SocketAddr;

/// Open files that are looked at; a process with more of them leaves its connections as they are.
#[cfg(target_os = "linux")]
const FILES_MAX: usize = 16_384;

/// Turns delays off on the connections to a server. What the system does not allow stays as it is: slower, and right.
pub(crate) async fn send_at_once(host: &str, port: u16) {
    let Ok(peers) = tokio::net::lookup_host((host, port)).await else { return };
    let peers: Vec<SocketAddr> = peers.collect();
    match tokio::task::spawn_blocking(move || set_on_sockets_to(&peers)).await {
        Ok(Ok(sockets)) => tracing::trace!(sockets, "TCP_NODELAY"),
        Ok(Err(error)) => tracing::debug!(%error, "TCP_NODELAY cannot be set"),
        Err(error) => tracing::debug!(%error, "TCP_NODELAY was not set"),
    }
}

/// How many sockets are connected to one of these.
#[cfg(target_os = "linux")]
fn set_on_sockets_to(peers: &[SocketAddr]) -> std::io::Result<usize> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use std::net::TcpStream;

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
        // Another thread may have closed the socket meanwhile.
        let Ok(socket) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let socket = TcpStream::from(socket);
        if socket.peer_addr().is_ok_and(|peer| peers.iter().any(|of| is_same(*of, peer))) {
            socket.set_nodelay(true)?;
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
