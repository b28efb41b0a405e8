//! `querygate doctor`, `check` and `health` of workers: a worker that runs, and what stands between it and its gate.

use super::doctor::{SMALL, doctor, of_check, place, run};
use querygate_tests::server::binary;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends the worker with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The key that seals, and certificates of an authority, and one more authority that nobody asked.
fn keys(folder: &Path) {
    let made = "umask 077; openssl genpkey -algorithm ed25519 -out seal.key && openssl pkey -in seal.key -pubout -out seal.pub &&
        echo subjectAltName=DNS:localhost >names &&
        for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.pem -days 60 -subj /CN=$ca || exit 1; done &&
        for name in gate worker; do
          openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name &&
          openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 60 -extfile names || exit 1
        done";
    let output = Command::new("sh").args(["-c", made]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn worker_file(folder: &Path, (port, http): (u16, u16), ca: &str) {
    let text = format!(
        "[worker]\nlisten = \"127.0.0.1:{port}\"\nhttp = \"127.0.0.1:{http}\"\naddress = \"localhost:{port}\"\nmemory = \"64MB\"\n\
         spill_directory = \".\"\nspill_max = \"1MB\"\nverification_key = \"seal.pub\"\ntls_certificate = \"worker.pem\"\n\
         tls_key = \"worker.key\"\nclient_ca = \"{ca}\"\n[[sources]]\nname = \"lake\"\npath = \"lake\"\n"
    );
    std::fs::write(folder.join("worker.toml"), text).unwrap();
}

fn start(folder: &Path) -> Running {
    let mut command = Command::new(binary());
    command.args(["worker", "-c", "worker.toml"]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let worker = Running(command.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(30);
    while run(folder, &["health", "-c", "worker.toml"]).0 != 0 {
        assert!(Instant::now() < until, "the worker does not become ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    worker
}

#[test]
fn what_stands_between_a_gate_and_its_worker_is_told() {
    let (port, http) = (free_port(), free_port());
    let gate = |authorities: &str| {
        format!(
            "[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"off\"\nconnection_max = 10\n{SMALL}[[sources]]\nname = \"db\"\nkind = \"memory\"\n\
             [workers]\naddresses = [\"localhost:{port}\"]\nsigning_key = \"seal.key\"\ntls_certificate = \"gate.pem\"\n\
             tls_key = \"gate.key\"\ntls_ca = \"{authorities}\"\n"
        )
    };
    let folder = place(&gate("ca.pem"));
    let here = folder.path();
    keys(here);
    std::fs::create_dir(here.join("lake")).unwrap();
    let between = || of_check(&doctor(here).1, "workers.reachable");
    let name = format!("localhost:{port}");
    assert!(between()[0].starts_with(&format!("warning {name}: does not answer: ")), "{:?}", between());

    worker_file(here, (port, http), "ca.pem");
    let worker = start(here);
    assert_eq!(between(), [format!("ok {name}: answers, and each side trusts the other")]);
    let (code, text) = run(here, &["doctor", "-c", "worker.toml"]);
    assert!(code == 0 && text.contains(&format!("worker: a worker serves on 127.0.0.1:{port}")), "{text}");
    std::fs::write(here.join("querygate.toml"), gate("other.pem")).unwrap();
    assert!(between()[0].starts_with(&format!("problem {name}: what it shows is not trusted: ")), "{:?}", between());
    drop(worker);

    std::fs::write(here.join("querygate.toml"), gate("ca.pem")).unwrap();
    worker_file(here, (port, http), "other.pem");
    let _worker = start(here);
    assert!(between()[0].starts_with(&format!("problem {name}: it does not trust the gate: ")), "{:?}", between());
    std::fs::write(here.join("seal.key"), "no key").unwrap();
    let told = of_check(&doctor(here).1, "workers.key");
    assert!(told[0].starts_with("problem ./seal.key: it is not the private key of a gate"), "{told:?}");
}

#[test]
fn a_broken_worker_is_told_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    keys(here);
    worker_file(here, (free_port(), free_port()), "nothing.pem");
    let (code, text) = run(here, &["check", "worker.toml"]);
    assert!(code == 0 && text.contains("worker: 1 folder of its own, called localhost:"), "{text}");
    std::fs::write(here.join("seal.pub"), "no key").unwrap();
    let (code, text) = run(here, &["doctor", "-c", "worker.toml", "--quiet"]);
    assert_eq!(code, 2, "{text}");
    for wanted in [
        "lake: ./lake: there is no such folder",
        "./seal.pub: it is not the public key",
        "door.authorities",
        "do: take it from",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let (code, text) = run(here, &["health", "-c", "worker.toml"]);
    assert!(code == 1 && text.contains("nothing answers"), "{text}");
}
