//! A network that fails: between a client and a gate, it cuts or stalls some of the connections. Reads nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Good,
    /// It breaks off after so many bytes to the client.
    CutAfter(usize),
    /// After so many bytes nothing comes any more.
    StallAfter(usize),
}

/// Listens, and passes connections on until the process ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    fates: Arc<Mutex<Vec<Fate>>>,
    gate: Arc<Mutex<SocketAddr>>,
}

impl Proxy {
    /// The next connections have these fates in this order; later ones are good.
    pub(crate) fn before(gate: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fates: Arc<Mutex<Vec<Fate>>> = Arc::default();
        let gate = Arc::new(Mutex::new(gate));
        let (next, toward) = (Arc::clone(&fates), Arc::clone(&gate));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let fate = {
                    let mut fates = next.lock().unwrap();
                    if fates.is_empty() { Fate::Good } else { fates.remove(0) }
                };
                let gate = *toward.lock().unwrap();
                let Ok(server) = TcpStream::connect(gate) else { continue };
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ended = std::io::copy(&mut from, &mut to);
                    let _closed = to.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || pass(server, client, fate));
            }
        });
        Self { address, fates, gate }
    }

    /// From now on, connections go to another gate.
    pub(crate) fn toward(&self, gate: SocketAddr) {
        *self.gate.lock().unwrap() = gate;
    }

    pub(crate) fn next(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.to_vec();
    }

    /// Fates that no connection has had yet.
    pub(crate) fn left(&self) -> usize {
        self.fates.lock().unwrap().len()
    }
}

fn pass(mut server: TcpStream, mut client: TcpStream, fate: Fate) {
    let mut left = match fate {
        Fate::Good => usize::MAX,
        Fate::CutAfter(bytes) | Fate::StallAfter(bytes) => bytes,
    };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = server.read(&mut buffer) {
        let passed = read.min(left);
        left -= passed;
        if read == 0 || client.write_all(&buffer[..passed]).is_err() {
            break;
        }
        if left == 0 {
            if matches!(fate, Fate::StallAfter(_)) {
                // Held open, and the server's side is not read any more, until the client goes.
                let _waits = std::io::copy(&mut client, &mut std::io::sink());
            }
            break;
        }
    }
    let _closed = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}
