//! The protocol byte by byte, for what no well-behaved client sends. Understands only frames and the SCRAM exchange
//! that lets it in.

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// A field of an ErrorResponse: `b'C'` is the SQLSTATE, `b'M'` the message.
    #[must_use]
    pub fn field(&self, field: u8) -> Option<String> {
        let mut fields = self.body.split(|&byte| byte == 0);
        fields.find_map(|f| (f.first() == Some(&field)).then(|| String::from_utf8_lossy(&f[1..]).into_owned()))
    }
}

/// A blocking connection.
#[derive(Debug)]
pub struct RawClient {
    pub tcp: TcpStream,
}

impl RawClient {
    /// Connects and sends nothing.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { tcp }
    }

    /// Connects and logs in as a user of the demo, up to the first ReadyForQuery.
    #[must_use]
    pub fn login(address: SocketAddr, user: &str) -> Self {
        Self::login_to(address, user, &format!("demo-{user}"), "demo")
    }

    /// Connects and logs in with a password, up to the first ReadyForQuery.
    #[must_use]
    pub fn login_to(address: SocketAddr, user: &str, password: &str, database: &str) -> Self {
        let mut client = Self::connect(address);
        client.startup(&[("user", user), ("database", database)]);
        let sasl = client.read().unwrap();
        assert_eq!((sasl.tag, &sasl.body[..4]), (b'R', &[0, 0, 0, 10][..]), "{sasl:?}");
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut first = SCRAM_SHA_256.as_bytes().to_vec();
        first.push(0);
        first.extend(u32::try_from(scram.message().len()).unwrap().to_be_bytes());
        first.extend(scram.message());
        client.send(b'p', &first);
        scram.update(&client.read().unwrap().body[4..]).unwrap();
        client.send(b'p', scram.message());
        scram.finish(&client.read().unwrap().body[4..]).unwrap();
        let ready = client.read_until(b'Z');
        assert!(ready.iter().any(|frame| frame.tag == b'Z'), "{ready:?}");
        client
    }

    /// Sends a StartupMessage of protocol 3.0.
    pub fn startup(&mut self, parameters: &[(&str, &str)]) {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
        }
        body.push(0);
        let mut message = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
        message.extend(body);
        self.tcp.write_all(&message).unwrap();
    }

    /// Sends a message.
    pub fn send(&mut self, tag: u8, body: &[u8]) {
        let mut message = vec![tag];
        message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend(body);
        self.tcp.write_all(&message).unwrap();
    }

    /// Sends a simple query.
    pub fn query(&mut self, sql: &str) {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(b'Q', &body);
    }

    /// The next message; `None` when the server closed.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 5];
        if let Err(error) = self.tcp.read_exact(&mut head) {
            assert!(
                !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                "the server neither answers nor closes"
            );
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])).unwrap();
        let mut body = vec![0; length - 4];
        self.tcp.read_exact(&mut body).unwrap();
        Some(Frame { tag: head[0], body })
    }

    /// Messages up to and with the first of a kind, or up to the end.
    pub fn read_until(&mut self, tag: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.read() {
            let last = frame.tag == tag;
            frames.push(frame);
            if last {
                break;
            }
        }
        frames
    }
}
