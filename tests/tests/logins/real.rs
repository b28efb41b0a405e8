//! Tokens of a real provider: oidc-provider of npm, unmodified. Absent where npm cannot install it.

use crate::adbc::both_ways;
use crate::world::World;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PROVIDER: &str = r"
import { Provider } from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [{ client_id: 'solo', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: '', audience: 'querygate', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.on('end', () => process.exit()).resume();
";

struct Provider {
    process: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

/// Where the package is; `None` where it cannot be had.
fn installed() -> Option<PathBuf> {
    let cache = std::env::var_os("QUERYGATE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache/querygate")))?;
    let folder = cache.join("oidc");
    if !folder.join("node_modules/oidc-provider").exists() {
        std::fs::create_dir_all(&folder).ok()?;
        let arguments = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "oidc-provider@9.13.3"];
        let ran = Command::new("npm").args(arguments).current_dir(&folder).stdin(Stdio::null()).output().ok()?;
        ran.status.success().then_some(())?;
    }
    Some(folder)
}

fn started(folder: &Path) -> Provider {
    std::fs::write(folder.join("provider.mjs"), PROVIDER).unwrap();
    let mut command = Command::new("node");
    command.arg("provider.mjs").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let issuer = lines.find(|line| line.starts_with("http://")).expect("the provider starts");
    Provider { process, issuer }
}

fn token(issuer: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-u", "solo:secret", "-d", "grant_type=client_credentials&resource=urn:querygate"]);
    let answer = command.arg(format!("{issuer}/token")).output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_token_of_a_real_provider_lets_its_user_in_at_every_door() {
    let Some(folder) = installed() else {
        println!("SKIPPED: oidc-provider cannot be installed");
        return;
    };
    let provider = started(&folder);
    let world = World::with_issuer(&provider.issuer);
    let token = token(&provider.issuer);
    for (door, seen) in world.everywhere(&token).into_iter().enumerate() {
        assert_eq!(seen, Ok("2".to_owned()), "door {door}");
    }
    drop(provider);
    assert!(world.over_postgres(&token).is_ok(), "its keys are kept");
    let (head, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{head}.AAAA");
    assert!(world.everywhere(&forged).iter().all(Result::is_err));
    by_clients(&world, &token, &forged);
}

/// The same from curl and ADBC, as psql above.
fn by_clients(world: &World, token: &str, forged: &str) {
    let curl = |token: &str| {
        let url = format!("http://{}/api/v1/data/shop_orders?select=id", world.server.rest.unwrap());
        let bearer = format!("Authorization: Bearer {token}");
        let ran = Command::new("curl").args(["-sS", "-H", &bearer, &url]).output().unwrap();
        serde_json::from_slice::<Value>(&ran.stdout).unwrap()
    };
    assert_eq!(curl(token)["total"], 2);
    assert_eq!(curl(forged)["code"], "UNAUTHENTICATED");
    let (Some(seen), Some(refused)) = (both_ways(world, token), both_ways(world, forged)) else {
        println!("SKIPPED: Python clients of Flight absent");
        return;
    };
    assert_eq!(seen, [Ok("2".to_owned()), Ok("2".to_owned())]);
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
}
