//! `querygate reload`: has a running gate take what its files say now, and says what became of it.

use super::args::ReloadArgs;
use super::check::unusable_rules;
use super::doctor::serving_on;
use super::{Ended, health, load, written};
use crate::config::Config;
use crate::output::Output;
use querygate_types::{Error, ErrorCode, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How often a gate is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(args: &ReloadArgs, output: &mut Output) -> Result<Ended> {
    let file = args.config.file();
    // What the gate would refuse is reported here, with its place.
    let config = load(&file, output)?;
    let doors = doors(&config, args.http);
    let number = match args.pid {
        Some(number) => number,
        None => serving_on(&doors, &config.file).ok_or_else(|| none_serves(&doors))?,
    };
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new(ErrorCode::InvalidParameterValue, "that is no process"))?;
    let before = args.http.or(config.server.http).map(|http| (http, seen(http)));
    kill_process(pid, Signal::HUP).map_err(|error| {
        Error::new(ErrorCode::SourceUnavailable, format!("process {number} cannot be told"))
            .with_detail(error.to_string())
            .with_hint("Run it as root, or as the user whose gate it is.")
    })?;
    let Some((http, Some(before))) = before else {
        let told = format!("process {number} was told; its log says what became of it");
        output.line(&told).map_err(written)?;
        return Ok(Ended::Well);
    };
    match done(http, &before, Duration::from_secs(args.timeout))? {
        After { refused: true, .. } => {
            Err(Error::new(ErrorCode::ConfigInvalid, "the gate refused it, and goes on as before")
                .with_hint("Its log says why; `querygate check` finds most of it."))
        }
        After { version, waiting, .. } => {
            output.line(&format!("version {version} is in force")).map_err(written)?;
            for key in &waiting {
                output.line(&format!("restart needed: {key}")).map_err(written)?;
            }
            let extensions = output.extensions().clone();
            if let Some(count @ 1..) = unusable_rules(&config, &extensions) {
                let rules = super::check::count(count, "rule");
                let told = format!(
                    "{rules} cannot be applied, so that reads are refused: `querygate check` says which and why"
                );
                output.line(&told).map_err(written)?;
                return Ok(Ended::WithFindings);
            }
            Ok(Ended::Well)
        }
    }
}

/// Where the gate may be. An address of its HTTP port that is given stands for the configured one.
fn doors(config: &Config, http: Option<SocketAddr>) -> Vec<(&'static str, Option<SocketAddr>)> {
    let given = |name: &str| http.filter(|_| name == "http");
    crate::serve::doors(config).into_iter().map(|(name, address)| (name, given(name).or(address))).collect()
}

fn none_serves(doors: &[(&'static str, Option<SocketAddr>)]) -> Error {
    let doors: Vec<String> = doors.iter().filter_map(|(_, address)| Some((*address)?.to_string())).collect();
    Error::new(ErrorCode::SourceUnavailable, format!("no gate is seen on {}", doors.join(", ")))
        .with_hint("Run it where the gate runs, as root or its user, or give its process with --pid.")
}

/// What a gate says of itself.
struct After {
    reloads: u64,
    version: u64,
    refused: bool,
    waiting: Vec<String>,
}

/// `None`: nothing answers there as a gate does.
fn seen(http: SocketAddr) -> Option<After> {
    let (_, body) = health::asked(http, PATIENCE).ok()?;
    let said: Value = serde_json::from_str(&body).ok()?;
    let metadata = said.get("metadata")?;
    let keys = said.get("restart_needed")?.as_array()?;
    Some(After {
        reloads: said.get("reloads")?.as_u64()?,
        version: metadata.get("version")?.as_u64()?,
        refused: metadata.get("reload_refused")?.as_bool()?,
        waiting: keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
    })
}

fn done(http: SocketAddr, before: &After, patience: Duration) -> Result<After> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        std::thread::sleep(PAUSE);
        if let Some(after) = seen(http).filter(|after| after.reloads > before.reloads) {
            return Ok(after);
        }
    }
    Err(Error::new(ErrorCode::SourceUnavailable, "the gate was told, and is not done yet")
        .with_hint("Its log says what becomes of it; --timeout waits longer."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use std::path::Path;

    #[test]
    fn a_gate_is_looked_for_where_it_is_said_to_answer() {
        let text = "[metadata]\npath = \"m\"\n[server]\nhttp = \"127.0.0.1:9001\"\n";
        let environment = Environment::fixed(Path::new("/q"), &[]);
        let config = crate::config::parse(Path::new("q.toml"), text, &environment).0.unwrap();
        let http = |given: Option<&str>| {
            let given = given.map(|address| address.parse().unwrap());
            let found = doors(&config, given).into_iter().find(|(name, _)| *name == "http");
            found.and_then(|(_, address)| address).map(|address| address.to_string())
        };
        assert_eq!(http(None).as_deref(), Some("127.0.0.1:9001"));
        assert_eq!(http(Some("127.0.0.1:9002")).as_deref(), Some("127.0.0.1:9002"));
        let said = none_serves(&doors(&config, Some("127.0.0.1:9002".parse().unwrap())));
        assert!(said.message().contains("127.0.0.1:9002") && !said.message().contains("9001"), "{}", said.message());
    }
}
