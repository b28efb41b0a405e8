//! The untyped first packets: startup, SSL, GSS and cancel requests, read from their bytes alone. Knows no socket.

use crate::report::Report;
use crate::wire::{Reader, Short};
use bytes::Bytes;
use querygate_types::ErrorCode;

/// A first packet, after its length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstPacket {
    Startup(Startup),
    Ssl,
    Gss,
    Cancel(CancelRequest),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CancelRequest {
    pub(crate) process_id: u32,
    pub(crate) secret: Bytes,
}

/// A startup packet of protocol 3.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Startup {
    pub(crate) minor: u16,
    pub(crate) user: String,
    /// Defaults to the user's name.
    pub(crate) database: String,
    /// Settings in the order given, `options` split.
    pub(crate) settings: Vec<(String, String)>,
    /// `_pq_.…` names that the server does not know.
    pub(crate) unknown_options: Vec<String>,
}

/// Newest minor version spoken.
pub(crate) const NEWEST_MINOR: u16 = 2;
/// From this minor version on, cancel keys are longer than four bytes.
pub(crate) const LONG_KEYS_MINOR: u16 = 2;

const CODE_CANCEL: u32 = 80_877_102;
const CODE_SSL: u32 = 80_877_103;
const CODE_GSS: u32 = 80_877_104;
/// Longest cancel key of protocol 3.2.
const SECRET_BYTES_MAX: usize = 256;

/// Reads a packet's body (without its length).
pub(crate) fn first_packet(body: &Bytes) -> Result<FirstPacket, Report> {
    let mut reader = Reader::new(body);
    match reader.u32().map_err(|Short| malformed())? {
        CODE_SSL => empty(&reader, FirstPacket::Ssl),
        CODE_GSS => empty(&reader, FirstPacket::Gss),
        CODE_CANCEL => {
            let process_id = reader.u32().map_err(|Short| malformed())?;
            let secret = reader.rest();
            if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
                return Err(malformed());
            }
            Ok(FirstPacket::Cancel(CancelRequest { process_id, secret: body.slice_ref(secret) }))
        }
        version if version >> 16 == 3 => {
            let minor = u16::try_from(version & 0xffff).unwrap_or(u16::MAX);
            startup(reader, minor).map(FirstPacket::Startup)
        }
        version => Err(Report::fatal(
            ErrorCode::FeatureNotSupported,
            format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.{NEWEST_MINOR}",
                version >> 16,
                version & 0xffff
            ),
        )),
    }
}

fn empty(reader: &Reader<'_>, packet: FirstPacket) -> Result<FirstPacket, Report> {
    if reader.is_empty() { Ok(packet) } else { Err(malformed()) }
}

fn malformed() -> Report {
    Report::fatal(ErrorCode::ProtocolViolation, "invalid startup packet layout: expected terminator as last byte")
}

fn startup(mut reader: Reader<'_>, minor: u16) -> Result<Startup, Report> {
    let mut startup = Startup { minor, ..Startup::default() };
    let mut database = None;
    loop {
        let name = text(reader.cstr().map_err(|Short| malformed())?)?;
        if name.is_empty() {
            break;
        }
        let value = text(reader.cstr().map_err(|Short| malformed())?)?;
        match name.as_str() {
            "user" => startup.user = value,
            "database" => database = Some(value),
            "options" => startup.settings.extend(command_line(&value)?),
            "replication" => refuse_replication(&value)?,
            // PostgreSQL reads encoding names without punctuation and case: some drivers send `'utf-8'` with quotes.
            "client_encoding" => startup.settings.push((name, encoding_name(value))),
            option if option.starts_with("_pq_.") => startup.unknown_options.push(name),
            _ => startup.settings.push((name, value)),
        }
    }
    if !reader.is_empty() {
        return Err(malformed());
    }
    if startup.user.is_empty() {
        return Err(Report::fatal(
            ErrorCode::InvalidAuthorization,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    startup.database = database.filter(|name| !name.is_empty()).unwrap_or_else(|| startup.user.clone());
    Ok(startup)
}

fn text(bytes: &[u8]) -> Result<String, Report> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
        Report::fatal(
            ErrorCode::CharacterNotInRepertoire,
            "invalid byte sequence for encoding \"UTF8\" in startup packet",
        )
    })
}

fn encoding_name(value: String) -> String {
    let bare: String = value.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if matches!(bare.as_str(), "utf8" | "unicode") { "UTF8".to_owned() } else { value }
}

/// Replication is refused; every spelling of "no" is a normal connection.
fn refuse_replication(value: &str) -> Result<(), Report> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" | "f" | "n" => Ok(()),
        "true" | "on" | "yes" | "1" | "t" | "y" | "database" => {
            Err(Report::fatal(ErrorCode::FeatureNotSupported, "replication connections are not supported"))
        }
        _ => Err(Report::fatal(ErrorCode::InvalidParameterValue, "invalid value for parameter \"replication\"")),
    }
}

/// Splits `options` as PostgreSQL does (blanks separate, backslash escapes) and takes `-c name=value` and `--name=value`.
fn command_line(options: &str) -> Result<Vec<(String, String)>, Report> {
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = if let Some(long) = word.strip_prefix("--") {
            long.to_owned()
        } else if word == "-c" {
            words.next().ok_or_else(|| invalid_option(&word))?
        } else if let Some(short) = word.strip_prefix("-c") {
            short.to_owned()
        } else {
            return Err(invalid_option(&word));
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| invalid_option(&assignment))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn invalid_option(word: &str) -> Report {
    Report::fatal(ErrorCode::SyntaxError, format!("invalid command-line argument for server process: {word}"))
}

fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: u32, parameters: &[(&str, &str)]) -> Bytes {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        body.push(0);
        body.into()
    }

    fn startup_of(parameters: &[(&str, &str)]) -> Startup {
        match first_packet(&packet(3 << 16, parameters)).unwrap() {
            FirstPacket::Startup(startup) => startup,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_database_defaults_to_the_user() {
        assert_eq!(startup_of(&[("user", "ada")]).database, "ada");
        assert_eq!(startup_of(&[("user", "ada"), ("database", "demo")]).database, "demo");
    }

    #[test]
    fn options_are_split_as_a_command_line() {
        let check = |options: &str, expected: &[(&str, &str)]| {
            let startup = startup_of(&[("user", "a"), ("options", options)]);
            let found: Vec<(&str, &str)> = startup.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(found, expected, "{options}");
        };
        check("-c a=b", &[("a", "b")]);
        check("  -ca=b  --work-mem=4MB ", &[("a", "b"), ("work_mem", "4MB")]);
        check(r"-c search_path=a,\ b\\c", &[("search_path", r"a, b\c")]);
        for bad in ["-c", "-c a", "-x a=b", "a=b"] {
            let report = first_packet(&packet(3 << 16, &[("user", "a"), ("options", bad)])).unwrap_err();
            assert_eq!(report.sqlstate(), "42601", "{bad}");
        }
    }

    #[test]
    fn encodings_lose_quotes_and_dashes() {
        assert_eq!(startup_of(&[("user", "a"), ("client_encoding", "'utf-8'")]).settings[0].1, "UTF8");
        assert_eq!(startup_of(&[("user", "a"), ("client_encoding", "LATIN1")]).settings[0].1, "LATIN1");
    }

    #[test]
    fn what_is_not_a_startup_packet_is_refused_with_its_code() {
        let check =
            |body: Bytes, sqlstate: &str| assert_eq!(first_packet(&body).unwrap_err().sqlstate(), sqlstate, "{body:?}");
        check(Bytes::new(), "08P01");
        check(packet(2 << 16, &[]), "0A000");
        check(packet(3 << 16, &[]), "28000");
        check(packet(3 << 16, &[("user", "a"), ("replication", "database")]), "0A000");
        check(Bytes::from_static(b"\0\x03\0\0user\0a\0"), "08P01");
        check(Bytes::from_static(b"\0\x03\0\0user\0a\0\0x"), "08P01");
        check(Bytes::from_static(b"\0\x03\0\0user\0\xff\0\0"), "22021");
        check([&CODE_CANCEL.to_be_bytes()[..], b"\0\0\0\x01"].concat().into(), "08P01");
        check([&CODE_SSL.to_be_bytes()[..], b"x"].concat().into(), "08P01");
    }

    #[test]
    fn unknown_protocol_options_are_kept_for_negotiation() {
        assert_eq!(startup_of(&[("user", "a"), ("_pq_.x", "1")]).unknown_options, ["_pq_.x"]);
    }
}
