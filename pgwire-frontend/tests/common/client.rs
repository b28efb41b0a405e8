//! A client that writes frames as told and reads frames as they come.

use super::fake::{PASSWORD, USER};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) struct Client {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) process_id: u32,
    pub(crate) secret: Vec<u8>,
}

/// One message: type and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: char,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

pub(crate) fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    packet(&body)
}

pub(crate) fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub(crate) fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
    body.extend(u16::try_from(oids.len()).unwrap().to_be_bytes());
    body.extend(oids.iter().flat_map(|oid| oid.to_be_bytes()));
    frame(b'P', &body)
}

pub(crate) fn bind(
    portal: &str,
    statement: &str,
    formats: &[i16],
    values: &[Option<&[u8]>],
    results: &[i16],
) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    let count = |count: usize| u16::try_from(count).unwrap().to_be_bytes();
    body.extend(count(formats.len()));
    body.extend(formats.iter().flat_map(|code| code.to_be_bytes()));
    body.extend(count(values.len()));
    for value in values {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend(count(results.len()));
    body.extend(results.iter().flat_map(|code| code.to_be_bytes()));
    frame(b'B', &body)
}

pub(crate) fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(b'D', &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub(crate) fn close(kind: u8, name: &str) -> Vec<u8> {
    frame(b'C', &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub(crate) fn execute(portal: &str, rows: i32) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

pub(crate) fn sync() -> Vec<u8> {
    frame(b'S', &[])
}

impl Client {
    pub(crate) async fn raw(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Box::new(stream), process_id: 0, secret: Vec::new() }
    }

    /// Connects as `ada` to `demo`.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::raw(addr).await;
        let frames = client.login(3 << 16, &[("user", USER), ("database", "demo")], PASSWORD).await;
        assert_eq!(frames.last().unwrap().tag, 'Z', "{frames:?}");
        client
    }

    /// Startup and SCRAM; gives the frames after the exchange, up to ReadyForQuery or an error.
    pub(crate) async fn login(&mut self, version: u32, parameters: &[(&str, &str)], password: &str) -> Vec<Frame> {
        self.send(&startup(version, parameters)).await;
        let mut offered = self.read().await;
        if offered.tag == 'v' {
            offered = self.read().await;
        }
        if offered.tag == 'E' {
            return vec![offered];
        }
        assert_eq!(&offered.body[..4], &10_i32.to_be_bytes());
        self.scram(password, "n,,", b"n,,", "SCRAM-SHA-256").await
    }

    /// Runs SCRAM with a given GS2 header and binding.
    pub(crate) async fn scram(&mut self, password: &str, header: &str, binding: &[u8], mechanism: &str) -> Vec<Frame> {
        let first_bare = "n=,r=clientnonce";
        let first = format!("{header}{first_bare}");
        let mut body = [mechanism.as_bytes(), b"\0"].concat();
        body.extend(i32::try_from(first.len()).unwrap().to_be_bytes());
        body.extend(first.as_bytes());
        self.send(&frame(b'p', &body)).await;
        let challenge = self.read().await;
        if challenge.tag == 'E' {
            return vec![challenge];
        }
        let server_first = String::from_utf8(challenge.body[4..].to_vec()).unwrap();
        let value = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        let salt = BASE64.decode(value("s=")).unwrap();
        let rounds = NonZeroU32::new(value("i=").parse().unwrap()).unwrap();
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c={},r={}", BASE64.encode(binding), value("r="));
        let transcript = format!("{first_bare},{server_first},{without_proof}");
        let signature = sign(stored.as_ref(), transcript.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        self.send(&frame(b'p', format!("{without_proof},p={}", BASE64.encode(proof)).as_bytes())).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.read().await;
            if frame.tag == 'K' {
                self.process_id = u32::from_be_bytes(frame.body[..4].try_into().unwrap());
                self.secret = frame.body[4..].to_vec();
            }
            let last = matches!(frame.tag, 'Z' | 'E');
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Frame {
        self.try_read().await.expect("the server closed the connection")
    }

    /// `None` at the end of the stream.
    pub(crate) async fn try_read(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = usize::try_from(i32::from_be_bytes(head[1..].try_into().unwrap())).unwrap();
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await.ok()?;
            Some(Frame { tag: char::from(head[0]), body })
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("no answer in time")
    }

    /// Frames up to and with ReadyForQuery.
    pub(crate) async fn until_ready(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.read().await);
            if frames.last().unwrap().tag == 'Z' {
                return frames;
            }
        }
    }

    /// Sends and reads up to ReadyForQuery; one word per frame.
    pub(crate) async fn talk(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        script(&self.until_ready().await)
    }

    pub(crate) async fn until_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.try_read().await {
            frames.push(frame);
        }
        frames
    }
}

/// A transcript: `T(id,name) D(0|~) C(SELECT 1) Z(I)`.
pub(crate) fn script(frames: &[Frame]) -> String {
    frames.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn show(frame: &Frame) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').replace('\0', " ");
    match frame.tag {
        'T' => {
            let mut rest = &frame.body[2..];
            let mut names = Vec::new();
            while !rest.is_empty() {
                let end = rest.iter().position(|byte| *byte == 0).unwrap();
                let format = i16::from_be_bytes([rest[end + 17], rest[end + 18]]);
                names.push(text(&rest[..end]) + if format == 1 { ":b" } else { "" });
                rest = &rest[end + 19..];
            }
            format!("T({})", names.join(","))
        }
        'D' => format!(
            "D({})",
            fields(frame).iter().map(|v| v.as_deref().map_or("~".into(), text)).collect::<Vec<_>>().join("|")
        ),
        'E' | 'N' => format!("{}({})", frame.tag, error_field(frame, 'C')),
        'C' | 'd' | 'S' => format!("{}({})", frame.tag, text(&frame.body)),
        'Z' => format!("Z({})", char::from(frame.body[0])),
        't' => format!(
            "t({})",
            frame.body[2..]
                .chunks(4)
                .map(|b| u32::from_be_bytes(b.try_into().unwrap()).to_string())
                .collect::<Vec<_>>()
                .join(",")
        ),
        other => other.to_string(),
    }
}

pub(crate) fn fields(frame: &Frame) -> Vec<Option<Vec<u8>>> {
    let mut rest = &frame.body[2..];
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        match usize::try_from(length) {
            Err(_) => fields.push(None),
            Ok(length) => {
                fields.push(Some(rest[..length].to_vec()));
                rest = &rest[length..];
            }
        }
    }
    fields
}

/// A field of an ErrorResponse or NoticeResponse.
pub(crate) fn error_field(frame: &Frame, code: char) -> String {
    let parts = frame.body.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    parts.into_iter().find_map(|part| part.strip_prefix(code).map(str::to_owned)).unwrap_or_default()
}
