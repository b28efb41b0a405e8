//! A server between a driver and its server, which answers some executions of prepared statements itself, with an error. What a
//! server says when its tables change under a statement cannot be brought about at will.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;

#[derive(Default)]
struct State {
    /// The error, with the number of executions that still get it.
    failing: Mutex<(u16, usize)>,
    prepared: AtomicUsize,
}

/// Runs until the process ends.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut &from, &mut to));
                    drop(to.shutdown(Shutdown::Both));
                });
                let state = Arc::clone(&state);
                std::thread::spawn(move || {
                    drop(forward(&state, &client, &server));
                    drop(server.shutdown(Shutdown::Both));
                });
            }
        });
        proxy
    }

    /// The next executions get this error.
    pub(crate) fn fail(&self, number: u16, times: usize) {
        *self.state.failing.lock().unwrap() = (number, times);
        self.state.prepared.store(0, Ordering::Relaxed);
    }

    /// Errors of [`Proxy::fail`] that nobody has got, and statements prepared since.
    pub(crate) fn seen(&self) -> (usize, usize) {
        (self.state.failing.lock().unwrap().1, self.state.prepared.load(Ordering::Relaxed))
    }
}

/// Hands the client's packets on, but for executions that fail here. A packet: three bytes of length, its number, its text; what
/// begins a command has number 0, and no answer is on its way then.
fn forward(state: &State, mut client: &TcpStream, mut server: &TcpStream) -> std::io::Result<()> {
    loop {
        let mut head = [0; 4];
        client.read_exact(&mut head)?;
        let mut body = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16];
        client.read_exact(&mut body)?;
        let command = body.first().copied().filter(|_| head[3] == 0);
        if command == Some(PREPARE) {
            state.prepared.fetch_add(1, Ordering::Relaxed);
        }
        let error = {
            let mut failing = state.failing.lock().unwrap();
            let now = (command == Some(EXECUTE) && failing.1 > 0).then_some(failing.0);
            failing.1 -= usize::from(now.is_some());
            now
        };
        match error {
            Some(number) => client.write_all(&refusal(number))?,
            None => {
                server.write_all(&head)?;
                server.write_all(&body)?;
            }
        }
    }
}

/// An error packet with number 1.
fn refusal(number: u16) -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend(number.to_le_bytes());
    body.extend(b"#HY000a table has changed");
    let mut packet = vec![u8::try_from(body.len()).unwrap(), 0, 0, 1];
    packet.extend(body);
    packet
}
