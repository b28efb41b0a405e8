//! Gates that a page starts: at addresses of their own, which the configuration names too, so that commands beside the gate find it.

use super::page::Page;
use querygate_tests::server::{Server, Variant};
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Four addresses that no process has, and no other page of this program: below those that the system gives to clients.
pub(super) fn free_addresses() -> [String; 4] {
    static NEXT: LazyLock<Mutex<u32>> = LazyLock::new(|| Mutex::new(std::process::id()));
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    [(); 4].map(|()| {
        loop {
            *next = next.wrapping_add(1);
            let address = format!("127.0.0.1:{}", 10_000 + *next % 20_000);
            if TcpListener::bind(&address).is_ok() {
                return address;
            }
        }
    })
}

impl Page {
    /// Starts the gate of a command, in place of one that the reader has stopped. What it printed.
    pub(super) fn serve(&mut self, command: &str) -> String {
        self.gate = None;
        let addressed = |config: String| {
            let [postgres, http, ..] = &self.places[..] else { panic!("addresses are there") };
            let (postgres, http) = (&postgres.1, &http.1);
            if config.contains(postgres) {
                return config;
            }
            let server = format!("[server]\npostgres = \"{postgres}\"\nhttp = \"{http}\"\n");
            let (before, after) = config.split_once("[server]\n").unwrap_or(("", &config));
            format!("{before}{server}{after}")
        };
        let line = self.placed(command);
        let mut arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        let is_demo = arguments.first() == Some(&"demo");
        if !is_demo {
            let file = self.file("querygate.toml");
            std::fs::write(&file, addressed(std::fs::read_to_string(&file).unwrap())).unwrap();
        } else if self.demo.is_none() {
            let demo = Variant::new(addressed);
            std::os::unix::fs::symlink(demo.folder.path(), self.file("querygate-demo")).unwrap();
            self.demo = Some(demo);
        }
        let doors = ["--pg", "--http", "--flight", "--rest"].into_iter().zip(&self.places);
        if is_demo {
            arguments.extend(doors.flat_map(|(door, (_, address))| [door, address.as_str()]));
        }
        let gate = Server::start_in(self.folder.path(), &arguments);
        let _ = gate.wait_for(if is_demo { "Ctrl-C stops." } else { "querygate serves " }, 0);
        let lines = gate.lines();
        self.gate = Some(gate);
        lines[1..].join("\n")
    }
}
