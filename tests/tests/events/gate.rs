//! A gate that keeps events of notes and their lines, over a source of one kind.

use super::source::{Kind, Source};
use super::sse::Sse;
use querygate_tests::server::{PASSWORD, Request, Server, add_user, connect, runtime};
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio_postgres::Client;

pub(crate) const STACK: &str = include_str!("stack.yaml");
pub(crate) const TABLES: &str = "
CREATE TABLE notes(id text primary key not null, title text, region text, phone text, secret text, amount double precision);
CREATE TABLE note_lines(id text primary key not null, note text not null, words text);
CREATE TABLE quiet(id text primary key not null);
CREATE TABLE querygate_outbox(id text primary key not null, payload TEXT not null);";

/// Who may read everything, and two who read the notes of their region, without secrets and with masked phones.
pub(crate) const USERS: [(&str, &str, &str); 3] =
    [("wanda", "desk_manager", "none"), ("eve", "desk_clerk", "eu"), ("uma", "desk_clerk", "us")];

pub(crate) struct Gate {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
    source: Option<Source>,
}

/// Whether a source has an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outbox {
    None,
    Table,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::with("objects = [\"desk_notes\", \"desk_lines\"]\n")
    }

    /// `settings`: further lines of `[events]`, and what comes behind.
    pub(crate) fn with(settings: &str) -> Self {
        Self::over(Kind::Sqlite, Outbox::None, settings)
    }

    /// With files beside the configuration.
    pub(crate) fn with_files(settings: &str, files: &[(&str, &str)]) -> Self {
        Self::made(Kind::Sqlite, Outbox::None, settings, files)
    }

    pub(crate) fn over(kind: Kind, outbox: Outbox, settings: &str) -> Self {
        Self::made(kind, outbox, settings, &[])
    }

    /// Over tables in the gate's memory.
    pub(crate) fn in_memory(settings: &str) -> Self {
        let is_kept =
            |line: &&str| !line.contains("external:") && !line.contains("datasources:") && !line.contains("driver:");
        let stack: Vec<&str> = STACK.lines().filter(is_kept).collect();
        let entry = "[[sources]]\nname = \"shop\"\nkind = \"memory\"\nwrites = true\n";
        Self::served(TempDir::new().unwrap(), None, &stack.join("\n"), entry, settings)
    }

    pub(crate) fn made(kind: Kind, outbox: Outbox, settings: &str, files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        // The stack is one of the files where it is another than the tests' own.
        let is_stack = |file: &&(&str, &str)| file.0 == "metadata/stack.yaml";
        for (name, text) in files.iter().filter(|file| !is_stack(file)) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let stack = files.iter().find(is_stack).map_or(STACK, |file| file.1);
        let source = Source::new(kind, folder.path(), TABLES);
        let mut entry = source.entry(true);
        if outbox == Outbox::Table {
            entry.push_str("outbox = \"querygate_outbox\"\n");
        }
        Self::served(folder, Some(source), stack, &entry, settings)
    }

    /// `entry`: of the source `shop`.
    pub(crate) fn served(folder: TempDir, source: Option<Source>, stack: &str, entry: &str, settings: &str) -> Self {
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
        let mut config = format!(
            "[server]\ndatabase = \"desk\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             {entry}[events]\npath = \"events\"\n{settings}"
        );
        for (user, set, region) in USERS {
            config.push_str(&format!(
                "[[users]]\nname = \"{user}\"\nemail = \"{user}@desk.example\"\npermission_sets = [\"{set}\"]\n\
                 attributes = {{ region = \"{region}\" }}\n"
            ));
        }
        config.push_str("[[users]]\nname = \"root\"\noperator = true\n");
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in USERS.iter().map(|user| user.0).chain(["root"]) {
            add_user(folder.path(), user);
        }
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server, source }
    }

    /// The source, of one that is a file or a server of SQL.
    pub(crate) fn source(&self) -> &Source {
        self.source.as_ref().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Kills the gate without a word, and starts it again.
    pub(crate) fn killed(self) -> Self {
        self.server.signal("KILL");
        let Self { folder, mut server, source } = self;
        let _ = server.stop();
        let server = Server::serve(&folder.path().join("querygate.toml"));
        Self { folder, server, source }
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("desk").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let body = json!({"email": format!("{user}@desk.example"), "password": PASSWORD});
        let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(self.server.rest.unwrap());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// Follows as a user. `query`: parameters, with their question mark.
    pub(crate) fn follow(&self, user: &str, query: &str) -> Sse {
        let headers = [("authorization", format!("Bearer {}", self.token(user)))];
        Sse::open(self.server.rest.unwrap(), query, &headers)
    }
}
