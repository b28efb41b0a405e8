//! Configuration texts and what they resolve to, or the diagnostics they render.

mod secrets;

use super::resolve::parse;
use super::syntax::secret::Environment;
use super::*;
use crate::output::{Output, Stream};
use querygate_types::principal::{AttributeValue, Posture};
use querygate_web::ProxyHeader;

const META: &str = "[metadata]\npath = \"meta\"\n";
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn read(text: &str) -> (Option<Config>, String) {
    let environment = Environment::fixed(Path::new("/etc/qg"), &[("S3_KEY", "key"), ("S3_SECRET", "hush")]);
    let (config, report) = parse(Path::new("qg.toml"), text, &environment);
    let (mut output, captured) = Output::captured("");
    report.render(&mut output, Stream::Out).unwrap();
    (config, captured.text())
}

fn good(text: &str) -> Config {
    let (config, rendered) = read(text);
    config.unwrap_or_else(|| panic!("{rendered}"))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let (config, rendered) = read(text);
    assert!(rendered.contains(expected), "expected\n{expected}\n\nrendered\n{rendered}");
    assert!(config.is_none(), "{text}");
}

const FULL: &str = r#"
[server]
postgres = "0.0.0.0:5432"
http = "off"
pages = false
database = "sales"
tls_certificate = "tls/server.pem"
tls_key = "/keys/server.key"
require_tls = true
connection_max = 250
trusted_proxies = ["10.0.0.0/8", "127.0.0.1"]
proxy_header = "forwarded"
wire_workers = 1
query_workers = 3
drain_timeout = "5s"

[metadata]
path = "meta"
posture = "group"
protocol = "17.5"
hidden_columns = "denied"
watch_interval = "off"

[limits]
memory_total = "2GB"
memory_per_query = "256MB"
statement_timeout = "30s"
queries_max = 8
queries_per_user_max = 3
queries_waiting_max = 0
source_connections_max = 40
source_share_per_user = 1
source_share_per_session = 0.25
source_rest_max = "30s"
rows_max = 1000
spill_directory = "/tmp/spill"
spill_max = "1TB"

[governance]
mask_in_predicates = "refuse"

[log]
format = "json"
filter = "warn,querygate_query=debug"

[[sources]]
name = "crm"
kind = "sqlite"
path = "crm.sqlite"
pool_size = 9
fixed_text = true

[[sources]]
name = "lake"
kind = "files"
url = "s3://bucket/some/prefix/"
options = { region = "eu-central-1", endpoint = "http://localhost:9000", access_key_id = "env:S3_KEY", secret_access_key = "env:S3_SECRET" }

[[sources]]
name = "seed"
kind = "memory"

[[users]]
name = "sam"
verifier = "VERIFIER"
user_id = "usr_1"
email = "sam@x.example"
organization = "org_1"
organizations = ["org_2"]
positions = ["sales"]
permission_sets = ["reader"]
attributes = { region = "emea", level = 3, vip = true, teams = ["a", "b"] }

[[users]]
name = "ada"
administrator = true
organization = "org_1"

[[views]]
name = "mine"
schema = "reports"
sql = "SELECT 1"
comment = "One."
"#;

#[test]
fn a_full_configuration_resolves() {
    let config = good(&FULL.replace("VERIFIER", VERIFIER));
    assert_eq!(
        config.server,
        Server {
            postgres: "0.0.0.0:5432".parse().ok(),
            http: None,
            pages: Some(false),
            database: "sales".to_owned(),
            tls: Some(TlsFiles { certificate: "/etc/qg/tls/server.pem".into(), key: "/keys/server.key".into() }),
            require_tls: true,
            connection_max: 250,
            connections_per_user_max: 125,
            proxies: Proxies::new(
                ["10.0.0.0/8", "127.0.0.1"].iter().filter_map(|text| Proxies::network(text)).collect(),
                ProxyHeader::Forwarded,
            ),
            authentication_timeout: Duration::from_secs(10),
            wire_workers: 1,
            query_workers: 3,
            drain_timeout: Duration::from_secs(5),
            keys: None,
        }
    );
    let Metadata { path, posture, protocol, watch_interval, hidden_columns, .. } = &config.metadata;
    assert_eq!(*protocol, Protocol::V17_5);
    assert_eq!(*hidden_columns, HiddenColumns::Denied);
    assert_eq!((path.to_str(), *posture, *watch_interval), (Some("/etc/qg/meta"), Tenancy::Group, Duration::ZERO));
    assert_eq!(
        config.limits,
        Limits {
            memory_per_query: 256 << 20,
            memory_per_user: 1 << 30,
            memory_total: 2 << 30,
            statement_timeout: Duration::from_secs(30),
            queries_max: 8,
            queries_per_user_max: 3,
            queries_waiting_max: 0,
            source_connections_max: 40,
            source_share_per_user: 1.0,
            source_share_per_session: 0.25,
            source_rest_max: Duration::from_secs(30),
            rows_max: Some(1000),
            spill_directory: Some("/tmp/spill".into()),
            spill_max: 1 << 40,
        }
    );
    assert_eq!(config.governance.mask_in_predicates, MaskInPredicates::Refuse);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(
        config.sources[0].kind,
        SourceKind::Sqlite {
            path: "/etc/qg/crm.sqlite".into(),
            pool_size: 9,
            fixed_text: true,
            writes: false,
            distributed: false
        }
    );
    let SourceKind::Files { store: FileStore::S3(s3), writes: false } = &config.sources[1].kind else {
        panic!("{:?}", config.sources[1])
    };
    assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("bucket", "some/prefix"));
    assert_eq!(s3.credentials.as_ref().map(|(_, secret)| secret.expose()), Some("hush"));
    assert!(!format!("{config:?}").contains("hush"));
    let sam = &config.user("sam").unwrap().principal;
    assert_eq!(sam.user_id, "usr_1");
    assert_eq!(sam.posture, Posture::Member);
    assert_eq!(sam.organization_ids.iter().collect::<Vec<_>>(), ["org_1", "org_2"]);
    assert_eq!(sam.attributes["teams"], AttributeValue::List(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(sam.attributes["level"], AttributeValue::Integer(3));
    let ada = &config.user("ada").unwrap().principal;
    assert!(ada.operator && ada.posture == Posture::PlatformAdmin && ada.permission_sets.contains("admin_full_access"));
    assert_eq!((config.views[0].schema.as_str(), config.views[0].name.as_str()), ("reports", "mine"));
}

#[test]
fn an_almost_empty_configuration_has_safe_defaults() {
    let (config, rendered) = read(META);
    let config = config.unwrap();
    assert!(config.server.postgres.unwrap().ip().is_loopback() && config.server.http.unwrap().ip().is_loopback());
    assert_eq!((config.metadata.posture, config.metadata.protocol), (Tenancy::Single, Protocol::V17_7));
    assert_eq!(config.metadata.hidden_columns, HiddenColumns::Absent);
    let limits = &config.limits;
    assert!(limits.memory_per_query <= limits.memory_per_user && limits.memory_per_user <= limits.memory_total / 2);
    assert_eq!(config.governance.mask_in_predicates, MaskInPredicates::Mask);
    assert!(rendered.contains("warning: there is no [[sources]]"), "{rendered}");
    assert!(rendered.contains("nobody can log in"), "{rendered}");
}

#[test]
fn an_unknown_key_is_rendered_with_its_place_and_the_nearest_name() {
    check(
        &format!("{META}\n[limits]\n  memory_totl = \"1GB\"\n"),
        "error: unknown key `memory_totl` in [limits]
 --> qg.toml:5:3
  |
5 |   memory_totl = \"1GB\"
  |   ^^^^^^^^^^^ did you mean `memory_total`?
",
    );
    check(&format!("{META}[servr]\n"), "unknown key `servr` in the file");
    let once = "known keys: path, posture, protocol, hidden_columns, watch_interval\nerror: unknown key `abracadabra` in [metadata]\n --> qg.toml:4:1\n  |\n4 | abracadabra = 2\n  | ^^^^^^^^^^^\nwarning";
    check(&format!("{META}xyzzy_quux = 1\nabracadabra = 2\n"), once);
}

#[test]
fn every_mistake_is_collected_in_the_order_of_the_text() {
    let (config, rendered) = read(
        "[server]\npostgres = 5432\nhttp = \"nowhere\"\nconnection_max = 0\n[metadata]\nposture = \"grup\"\n[[sources]]\nname = \"Bad Name\"\nkind = \"sqlte\"\n",
    );
    assert!(config.is_none());
    let heads: Vec<&str> = rendered.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        heads,
        [
            "error: `postgres` must be a string, not a whole number",
            "error: `http` must be an address and port, such as \"127.0.0.1:8080\"",
            "error: `connection_max` must be from 1 to 1000000",
            "error: `path` is missing in [metadata]",
            "error: `grup` is not a value of `posture`",
            "error: `Bad Name` is not a valid name",
            "error: `sqlte` is not a value of `kind`",
        ]
    );
}

#[test]
fn authorities_are_refused_where_nobody_looks_at_certificates() {
    let source = |kind: &str, host: &str, rest: &str| {
        format!(
            "{META}[[sources]]\nname = \"a\"\nkind = \"{kind}\"\n{host}\ndatabase = \"d\"\ntls_ca = \"ca.pem\"\n{rest}"
        )
    };
    let far = "host = \"db.example\"\nuser = \"u\"";
    for (kind, host) in [("mysql", far), ("postgres", far), ("mongodb", "url = \"mongodb://db.example/\"")] {
        good(&source(kind, host, ""));
        good(&source(kind, host, "tls = \"verify-full\"\n"));
        for tls in ["off", "require"] {
            check(&source(kind, host, &format!("tls = \"{tls}\"\n")), "nobody looks: set `tls` to \"verify-full\"");
        }
    }
    // On this machine certificates are looked at only where `tls` says so.
    for kind in ["mysql", "postgres"] {
        check(&source(kind, "host = \"localhost\"\nuser = \"u\"", ""), "nobody looks");
        good(&source(kind, "host = \"localhost\"\nuser = \"u\"", "tls = \"verify-ca\"\n"));
    }
}

#[test]
fn what_belongs_together_is_checked_together() {
    for (section, expected) in [
        ("[learning]\notlp = \"ftp://collector\"\n", "`otlp` is neither http://… nor a secret"),
        ("[learning]\notlp = \"http://user@collector\"\n", "`otlp`: it must not name a user"),
        ("[learning]\notlp_protocol = \"json\"\n", "`otlp_protocol` is neither \"http\" nor \"grpc\""),
        (
            "[learning]\notlp = \"http://collector/v1/traces\"\notlp_protocol = \"grpc\"\n",
            "`otlp`: over gRPC it must be without a path",
        ),
        (
            "[learning]\notlp = \"http://collector:4318\"\notlp_authorization = \"plain\"\n",
            "`otlp_authorization`: a secret must be",
        ),
        ("[server]\ntls_key = \"k\"\n", "`tls_certificate` and `tls_key` belong together"),
        ("[server]\nrequire_tls = true\n", "`require_tls` needs"),
        ("[limits]\nmemory_total = \"1GB\"\nmemory_per_query = \"2GB\"\n", "must not exceed"),
        (
            "[limits]\nmemory_total = \"1GB\"\nmemory_per_user = \"2GB\"\n",
            "`memory_per_user` must not exceed `memory_total`",
        ),
        ("[limits]\nmemory_per_user = \"1GB\"\nmemory_per_query = \"2GB\"\n", "must not exceed `memory_per_user`"),
        ("[limits]\nmemory_per_user = \"1kB\"\n", "at least 1MB"),
        ("[limits]\nmemory_total = \"1\"\n", "at least 1MB"),
        ("[limits]\nstatement_timeout = 30\n", "must be a time such as"),
        ("[limits]\nstatement_timeout = \"600h\"\n", "must be at most \"2147483647ms\" (24 days)"),
        ("[flight]\naddress = \"off\"\ntoken_lifetime = \"99999999999h\"\n", "must be a time such as"),
        ("[[users]]\nname = \"a\"\nadministrator = true\nposture = \"member\"\n", "an administrator's posture"),
        ("[[users]]\nname = \"a\"\nattributes = { id = \"x\" }\n", "would hide current_user.id"),
        ("[[users]]\nname = \"a\"\nattributes = { x = 1.5 }\n", "not a number with a fraction"),
        ("[[users]]\nname = \"a\"\n[[users]]\nname = \"a\"\n", "[[users]] `a` is there twice"),
        ("[[views]]\nname = \"v\"\nsql = \"SELECT 1\"\nschema = \"pg_catalog\"\n", "is reserved"),
        ("[[sources]]\nname = \"a\"\nkind = \"files\"\n", "needs `path` (a folder) or `url`"),
        ("[[sources]]\nname = \"a\"\nkind = \"memory\"\npath = \"x\"\n", "unknown key `path` in [[sources]]"),
        (
            "[[sources]]\nname = \"a\"\nkind = \"memory\"\napply_indexes = true\n",
            "`apply_indexes` is for sources that are databases only",
        ),
        (
            "[[sources]]\nname = \"a\"\nkind = \"postgres\"\nhost = \"h\"\nuser = \"u\"\ndatabase = \"d\"\nadvisor_password = \"env:S3_KEY\"\n",
            "`advisor_password` needs `advisor_user`",
        ),
        ("[log]\nfilter = \"a=b=c\"\n", "`filter` is not a log filter"),
        ("[server\n", "not TOML"),
    ] {
        check(&format!("{META}{section}"), expected);
    }
    assert!(read("").1.contains("there is no [metadata]"));
}

/// A server to read.
const SERVER: &str = "[[sources]]\nname = \"a\"\nkind = \"postgres\"\nhost = \"h\"\nuser = \"u\"\ndatabase = \"d\"\n";

#[test]
fn servers_are_changed_by_a_login_of_its_own() {
    let enabled = "[writes]\nenabled = true\n";
    let login = "writes = true\nwrite_user = \"w\"\nwrite_password = \"env:S3_SECRET\"\nwrite_pool_size = 2\n";
    let mongodb = SERVER.replace("postgres", "mongodb").replace("host = \"h\"", "url = \"mongodb://h\"");
    for server in [SERVER.to_owned(), SERVER.replace("postgres", "mysql"), mongodb] {
        let (config, rendered) = read(&format!("{META}{enabled}{server}{login}"));
        let source = config.unwrap().sources[0].clone();
        assert!(source.takes_changes(), "{rendered}");
        let writer = match &source.kind {
            SourceKind::Postgres(server) => server.writer.as_ref(),
            SourceKind::Mysql(server) => server.writer.as_ref(),
            SourceKind::Mongodb(server) => server.writer.as_ref(),
            other => panic!("{other:?}"),
        };
        let password = writer.and_then(|writer| writer.password.as_ref()).map(|password| password.expose());
        assert_eq!(writer.map(|writer| (writer.name.as_str(), writer.pool_size)), Some(("w", 2)));
        assert_eq!(password, Some("hush"));
        assert!(!rendered.contains("writes"), "{rendered}");
        assert!(writer.is_some_and(|writer| !writer.distributed));
        let (config, _) = read(&format!("{META}{enabled}{server}{login}distributed = true\n"));
        let is_part = match config.unwrap().sources[0].kind.clone() {
            SourceKind::Postgres(server) => server.writer.is_some_and(|writer| writer.distributed),
            SourceKind::Mysql(server) => server.writer.is_some_and(|writer| writer.distributed),
            SourceKind::Mongodb(server) => server.writer.is_some_and(|writer| writer.distributed),
            _ => false,
        };
        assert!(is_part, "{server}");
        let kept = login.replace("true", "false");
        assert!(!good(&format!("{META}{server}{kept}")).sources[0].takes_changes());
        let (_, rendered) = read(&format!("{META}{server}{login}"));
        assert!(rendered.contains("source `a` says `writes = true`, and no change is taken"), "{rendered}");
    }
    let (_, rendered) = read(&format!("{META}{enabled}{SERVER}"));
    assert!(rendered.contains("no source says `writes = true`"), "{rendered}");
}

#[test]
fn mistakes_of_writing_logins_have_their_places() {
    for (keys, expected) in [
        ("writes = true\n", "error: `writes = true` needs `write_user`\n --> qg.toml:9:10\n"),
        ("write_user = \"w\"\n", "error: `write_user` needs `writes = true`\n --> qg.toml:9:1\n"),
        ("writes = true\nwrite_user = \"\"\n", "`write_user` must not be empty"),
        ("write_password = \"env:S3_KEY\"\n", "`write_password` needs `write_user`"),
        ("writes = true\nwrite_user = \"w\"\nwrite_pool_size = 0\n", "`write_pool_size` must be from"),
        ("writes = true\nwrite_user = \"w\"\nwrite_password = \"hush\"\n", "`write_password`: "),
        ("writes = \"on\"\n", "`writes` must be true or false"),
        ("distributed = true\n", "`distributed` needs `writes = true`\n --> qg.toml:9:15\n"),
        ("writes = false\nwrite_user = \"w\"\ndistributed = true\n", "`distributed` needs `writes = true`"),
    ] {
        check(&format!("{META}{SERVER}{keys}"), expected);
    }
    let file = "[[sources]]\nname = \"a\"\nkind = \"sqlite\"\npath = \"f\"\ndistributed = true\n";
    check(&format!("{META}{file}"), "`distributed` needs `writes = true`");
    let (config, rendered) = read(&format!("{META}[writes]\nenabled = true\n{file}writes = true\n"));
    let kind = config.unwrap().sources[0].kind.clone();
    assert!(matches!(kind, SourceKind::Sqlite { writes: true, distributed: true, .. }), "{rendered}");
    let files = "[[sources]]\nname = \"a\"\nkind = \"files\"\npath = \"f\"\nwrites = true\n";
    check(&format!("{META}{files}distributed = true\n"), "distributed");
    assert!(good(&format!("{META}[writes]\nenabled = true\n{files}")).sources[0].takes_changes());
    let bucket = files.replace("path = \"f\"", "url = \"s3://b\"");
    check(&format!("{META}{bucket}"), "`writes` of files is for a local folder only");
    let memory = files.replace("files", "memory").replace("path = \"f\"\n", "");
    assert!(good(&format!("{META}[writes]\nenabled = true\n{memory}")).sources[0].takes_changes());
}

#[test]
fn transactions_of_several_sources_have_a_log_and_a_gate() {
    let gate = "[transactions]\ngate = \"00000000000000ab\"\n";
    let enabled = "[writes]\nenabled = true\n";
    assert_eq!(good(META).transactions, None);
    let own = good(&format!("{META}{enabled}{gate}")).transactions.unwrap();
    assert_eq!(
        (own.gate.to_string().as_str(), own.log.as_path()),
        ("00000000000000ab", Path::new("/etc/qg/transactions"))
    );
    let elsewhere = good(&format!("{META}{enabled}{gate}log = \"/var/qg\"\n")).transactions.unwrap();
    assert_eq!(elsewhere.log, Path::new("/var/qg"));
    let (_, rendered) = read(&format!("{META}{gate}"));
    assert!(rendered.contains("[transactions] is there, and no change is taken"), "{rendered}");
    check(&format!("{META}{enabled}[transactions]\n"), "`gate` is missing in [transactions]");
    for wrong in ["ab", "00000000000000AB", "000000000000000g"] {
        let text = gate.replace("00000000000000ab", wrong);
        check(&format!("{META}{enabled}{text}"), "`gate` must be 16 hexadecimal digits in lower case");
    }
    check(&format!("{META}{enabled}{gate}folder = \"x\"\n"), "folder");
}

#[test]
fn an_open_port_without_tls_is_a_warning() {
    let (config, rendered) = read(&format!("{META}[server]\npostgres = \"0.0.0.0:5432\"\n"));
    assert!(config.is_some() && rendered.contains("open to other hosts without TLS"), "{rendered}");
}

#[test]
fn the_flight_door_is_closed_without_its_table_and_takes_its_settings() {
    let minimal = "[metadata]\npath = \"m\"\n[server]\ntls_certificate = \"c\"\ntls_key = \"k\"\n";
    assert_eq!(good(minimal).flight.address, None);
    let given = "[flight]\naddress = \"127.0.0.1:0\"\nclient_ca = \"ca.pem\"\nstream_max = 7\nendpoint_max = 3\nsession_idle_timeout = \"5min\"\n\
        token_lifetime = \"1h\"\nticket_lifetime = \"10s\"\n";
    assert_eq!(
        good(&format!("{minimal}{given}")).flight,
        Flight {
            address: "127.0.0.1:0".parse().ok(),
            client_ca: Some("/etc/qg/ca.pem".into()),
            stream_max: 7,
            endpoint_max: 3,
            session_idle: Duration::from_secs(300),
            token_lifetime: Duration::from_secs(3_600),
            ticket_lifetime: Duration::from_secs(10),
        }
    );
    assert_eq!(good(&format!("{minimal}[flight]\n")).flight.address, "127.0.0.1:8815".parse().ok());
}

#[test]
fn what_becomes_of_changed_columns_is_said_for_a_source_or_an_object() {
    let source = "[[sources]]\nname = \"crm\"\nkind = \"sqlite\"\npath = \"crm.sqlite\"\n";
    let config = good(&format!("{META}{source}schema_change = \"widen\"\nschema_change_of = {{ a_t = \"hide\" }}\n"));
    let policy = &config.sources[0].schema_change;
    assert_eq!((policy.of("a_t"), policy.of("a_u")), (OnChange::Hide, OnChange::Widen));
    assert_eq!(good(&format!("{META}{source}")).sources[0].schema_change.of("a_t"), OnChange::Refuse);
    check(
        &format!("{META}{source}schema_change_of = {{ a_t = \"hid\" }}\n"),
        "`a_t` must be one of refuse, widen, hide",
    );
    check(
        &format!("{META}[[sources]]\nname = \"m\"\nkind = \"memory\"\nschema_change = \"hide\"\n"),
        "`schema_change` is for sources that are databases only",
    );
}

#[test]
fn files_are_written_anew_only_where_a_folder_says_so_itself() {
    let folder = "[[sources]]\nname = \"lake\"\nkind = \"files\"\npath = \"lake\"\n";
    let learning = "[learning]\napply_indexes = true\n";
    assert!(!good(&format!("{META}{folder}{learning}")).sources[0].apply_layouts);
    assert!(good(&format!("{META}{folder}apply_layouts = true\n")).sources[0].apply_layouts);
    for other in [
        "[[sources]]\nname = \"lake\"\nkind = \"files\"\nurl = \"s3://lake/x\"\n",
        "[[sources]]\nname = \"crm\"\nkind = \"sqlite\"\npath = \"crm.sqlite\"\n",
    ] {
        check(&format!("{META}{other}apply_layouts = true\n"), "`apply_layouts` is for files in a local folder only");
    }
}
