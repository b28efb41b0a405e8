//! What is sealed, and what is not opened.

use super::super::{FileVersion, LIFETIME_MS, Leaf};
use super::*;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::{col, lit};
use querygate_catalog::leaf::{FileFormat, LeafRecipe, RecipeColumn, RecipeOrigin, TableFiles};
use querygate_policy::Mask;
use ring::rand::SystemRandom;
use std::sync::Arc;

const NOW: i64 = 1_700_000_000_000;
const START: [u8; 16] = [9; 16];

fn key() -> SigningKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    SigningKey(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
}

fn recipe() -> LeafRecipe {
    let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8View, true)];
    LeafRecipe {
        table: "orders".into(),
        source: "lake".into(),
        files: TableFiles {
            pattern: "orders".to_owned(),
            format: FileFormat::Parquet,
            schema: Arc::new(Schema::new(fields.clone())),
            column_map: [("a".to_owned(), "A".to_owned())].into(),
        },
        columns: vec![
            RecipeColumn { field: fields[0].clone(), origin: RecipeOrigin::Raw(0), mask: None },
            RecipeColumn {
                field: fields[1].clone(),
                origin: RecipeOrigin::Raw(1),
                mask: Some(Mask::Keep { head: 1, tail: 2 }),
            },
        ],
        policy: vec![col("a").gt(lit(7_i64)).or(col("b").is_null())],
        restricts: true,
        filters: vec![col("a").in_list(vec![lit(1_i64), lit(9_i64)], false)],
        open: ["a".to_owned()].into(),
        limit: Some(5),
    }
}

fn part(nonce: u8) -> Part {
    let file = FileVersion { path: "orders/1.parquet".to_owned(), bytes: 10, modified_ns: 3, range: Some((0, 5)) };
    Part {
        release: RELEASE.to_owned(),
        gate: [1; 16],
        nonce: [nonce; 16],
        worker: "lake-1:7001".to_owned(),
        start: START,
        deployment: 4,
        issued_ms: NOW,
        expires_ms: NOW + LIFETIME_MS,
        leaf: Arc::new(Leaf::closed(&recipe()).unwrap()),
        steps: None,
        sides: Arc::new([]),
        files: [file].into(),
    }
}

fn nonces(start: [u8; 16]) -> Nonces {
    Nonces { start, known: Mutex::default() }
}

fn open(key: &SigningKey, sealed: &[u8], now_ms: i64) -> std::result::Result<Verified, Refusal> {
    key.verifying().open(sealed, "lake-1:7001", now_ms, &nonces(START))
}

/// What is sealed is what is opened, with each condition, value, mask and file.
#[test]
fn a_part_is_opened_as_it_was_sealed() {
    let key = key();
    let opened = open(&key, &key.seal(&part(1)).unwrap(), NOW + 5).unwrap();
    assert_eq!(*opened.part(), part(1));
    let (told, own) = (opened.part().leaf.recipe().unwrap(), recipe());
    assert_eq!((told.policy, told.filters, told.limit), (own.policy, own.filters, own.limit));
    assert_eq!((told.columns, told.files, told.restricts), (own.columns, own.files, own.restricts));
    assert_eq!(told.open, own.open);
}

/// No bit of a sealed part may be another one.
#[test]
fn a_part_that_was_altered_is_refused() {
    let key = key();
    let sealed = key.seal(&part(1)).unwrap();
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(open(&key, &altered, NOW).unwrap_err(), Refusal::Unsigned, "byte {at}");
    }
    for end in [0, 1, 63, 64, 65, sealed.len() - 1] {
        assert_eq!(open(&key, &sealed[..end], NOW).unwrap_err(), Refusal::Unsigned, "{end} bytes");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(open(&key, &longer, NOW).unwrap_err(), Refusal::Unsigned);
}

#[test]
fn a_part_of_somebody_else_is_refused() {
    let key = key();
    let sealed = self::key().seal(&part(1)).unwrap();
    assert_eq!(open(&key, &sealed, NOW).unwrap_err(), Refusal::Unsigned, "another gate's key");
    let sealed = key.seal(&Part { release: "0.0.9".to_owned(), ..part(1) }).unwrap();
    assert_eq!(open(&key, &sealed, NOW).unwrap_err(), Refusal::OtherRelease);
    let sealed = key.seal(&Part { worker: "lake-2:7001".to_owned(), ..part(1) }).unwrap();
    assert_eq!(open(&key, &sealed, NOW).unwrap_err(), Refusal::OtherWorker);
    // A signature over the same bytes without the domain, as another protocol might make one.
    let bytes = postcard::to_stdvec(&part(1)).unwrap();
    let bare = [key.0.sign(&bytes).as_ref(), &bytes].concat();
    assert_eq!(open(&key, &bare, NOW).unwrap_err(), Refusal::Unsigned);
}

#[test]
fn a_part_has_its_time_and_one_run() {
    let key = key();
    let sealed = key.seal(&part(1)).unwrap();
    assert!(open(&key, &sealed, NOW - SKEW_MS).is_ok() && open(&key, &sealed, NOW + LIFETIME_MS + SKEW_MS).is_ok());
    assert_eq!(open(&key, &sealed, NOW - SKEW_MS - 1).unwrap_err(), Refusal::NotYet);
    assert_eq!(open(&key, &sealed, NOW + LIFETIME_MS + SKEW_MS + 1).unwrap_err(), Refusal::Expired);
    let nonces = self::nonces(START);
    let run = |sealed: &[u8], now| key.verifying().open(sealed, "lake-1:7001", now, &nonces);
    assert!(run(&sealed, NOW).is_ok());
    assert_eq!(run(&sealed, NOW + 1).unwrap_err(), Refusal::Replayed);
    assert_eq!(run(&sealed, NOW + LIFETIME_MS + SKEW_MS).unwrap_err(), Refusal::Replayed, "as long as it is good");
    assert!(run(&key.seal(&part(2)).unwrap(), NOW).is_ok());
}

/// Another process at the address has no memory of what was run, and takes nothing that was sealed for the one before it.
#[test]
fn a_part_is_of_one_start_of_its_worker() {
    let (key, before, after) = (key(), Nonces::begin().unwrap(), Nonces::begin().unwrap());
    assert_ne!(before.start(), after.start());
    let sealed = key.seal(&Part { start: before.start(), ..part(1) }).unwrap();
    let run = |nonces: &Nonces| key.verifying().open(&sealed, "lake-1:7001", NOW, nonces);
    assert_eq!(run(&after).unwrap_err(), Refusal::OtherStart);
    assert!(run(&before).is_ok());
    assert_eq!(run(&after).unwrap_err(), Refusal::OtherStart);
    assert_eq!(run(&before).unwrap_err(), Refusal::Replayed);
}

#[test]
fn conditions_of_other_forms_are_not_sent() {
    use datafusion::prelude::{cast, lower, starts_with};
    let closed = |policy| Leaf::closed(&LeafRecipe { policy: vec![policy], ..recipe() });
    assert!(closed(starts_with(col("b"), lit("x"))).is_ok());
    for policy in [
        lower(col("b")).eq(lit("x")),
        cast(col("b"), DataType::Int64).eq(lit(1_i64)),
        (col("a") * lit(2_i64)).gt(lit(1_i64)),
        (lit(1_i64) / col("a")).eq(lit(1_i64)),
        col("b").ilike(lit("x")),
    ] {
        assert!(closed(policy.clone()).is_err(), "{policy}");
    }
    let deep = (0..1_000).fold(col("a").is_null(), |deep, _| datafusion::prelude::not(deep));
    assert!(closed(deep).is_err());
}

#[test]
fn keys_are_read_as_openssl_writes_them() {
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let (private, public) =
        (SigningKey::from_pem(PRIVATE.as_bytes()).unwrap(), VerifyingKey::from_pem(PUBLIC.as_bytes()));
    assert_eq!(private.verifying(), public.unwrap());
    for wrong in ["", "nothing", PUBLIC] {
        assert!(SigningKey::from_pem(wrong.as_bytes()).is_err());
    }
    for wrong in ["", PRIVATE] {
        assert!(VerifyingKey::from_pem(wrong.as_bytes()).is_err());
    }
}
