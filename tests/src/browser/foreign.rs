//! A site of somebody else on this machine: pages that try what they may not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves one page to everybody, which may be changed.
#[derive(Debug)]
pub struct Foreign {
    address: SocketAddr,
    page: Arc<Mutex<String>>,
}

impl Foreign {
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, page) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
        let shown = Arc::clone(&page);
        // It ends with the test's process. Browsers open connections before they have something to ask.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shown = Arc::clone(&shown);
                std::thread::spawn(move || serve(stream, &shown));
            }
        });
        Self { address, page }
    }

    /// Shows something from now on.
    ///
    /// # Panics
    /// When the thread that serves it panicked.
    pub fn show(&self, inside: &str) {
        *self.page.lock().unwrap() = format!("<!doctype html><html><body>{inside}</body></html>");
    }

    /// An address which browsers count to the gate's site; its origin is another one.
    #[must_use]
    pub fn same_site(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Another site.
    #[must_use]
    pub fn other_site(&self) -> String {
        format!("http://localhost:{}/", self.address.port())
    }
}

fn serve(mut stream: TcpStream, shown: &Mutex<String>) {
    // Requests without a body come in one piece.
    let mut head = [0; 8 << 10];
    if !matches!(stream.read(&mut head), Ok(read) if read > 0) {
        return;
    }
    let body = shown.lock().unwrap().clone();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// A form that sends itself.
#[must_use]
pub fn form(action: &str, fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("<input type=hidden name='{name}' value='{value}'>");
    let fields: String = fields.iter().map(field).collect();
    format!(
        "<form id=f method=post action='{action}'>{fields}</form><script>document.getElementById('f').submit()</script>"
    )
}
