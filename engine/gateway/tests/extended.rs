//! A gate with extensions, in this process: its hook, validation, mask and source by both doors; what goes wrong in one; and several
//! gates with different ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

#[path = "extended/gate.rs"]
mod gate;
#[path = "../examples/extended/payments.rs"]
mod payments;
#[path = "../../driver-api/examples/smallest_driver.rs"]
#[allow(dead_code, reason = "it is a program, too")]
mod smallest_driver;

use gate::{Gate, PASSWORD, command, refused, rows};
use payments::{Iban, IbanEnds, SpellIban};
use querygate_extension::harness::{GivenRecords, Trial, mask};
use querygate_extension::hook::{HookContext, HookError, HookEvent, NativeHook};
use querygate_extension::mask::NativeMask;
use querygate_extension::source::{NativeSource, SourceSettings};
use querygate_extension::validation::{NativeValidation, Violation, Written};
use querygate_extension::{Extension, Manifest, Version};
use querygate_types::Result;
use serde_json::{Value, json};
use std::sync::Arc;

const GOOD: &str = "DE89 3704 0044 0532 0130 00";

#[test]
fn an_author_tries_each_part_by_itself() {
    let given = GivenRecords::new(json!({"pay_currencies": [{"id": "EUR", "name": "Euro"}]})).unwrap();
    let pay = |currency| Trial::of(json!({"iban": " de89 37", "currency": currency}));
    let spelled = pay("EUR").run(SpellIban, HookEvent::BeforeInsert, &given).unwrap();
    assert_eq!(Value::Object(spelled), json!({"iban": "DE8937", "currency": "EUR"}));
    assert!(matches!(pay("XXX").run(SpellIban, HookEvent::BeforeInsert, &given), Err(HookError::Refused(_))));
    let check = |iban| Trial::of(json!({"iban": iban})).check(Iban).unwrap().len();
    assert_eq!([check("DE89370400440532013000"), check("DE88370400440532013000"), check("")], [0, 1, 1]);
    assert_eq!(mask(IbanEnds, "DE89370400440532013000").unwrap(), "DE…3000");
}

#[test]
fn all_four_kinds_hold_at_both_doors() {
    let gate = Gate::serve(vec![payments::extension()]);
    let paula = gate.client("paula");
    // The source, joined with a table of another one.
    gate.change(
        &paula,
        &format!("INSERT INTO payments (id, iban, amount, currency) VALUES ('p1', '{GOOD}', 7, 'EUR')"),
    );
    let joined = "SELECT p.id, c.name FROM payments p JOIN currencies c ON c.id = p.currency WHERE c.id = 'EUR'";
    assert_eq!(rows(&paula, joined), ["p1 Euro"]);
    // The hook has spelled the value that the mask covers.
    assert_eq!(rows(&paula, "SELECT iban FROM payments"), ["DE…3000"]);
    assert_eq!(rows(&paula, "SELECT id FROM payments WHERE iban = 'DE89370400440532013000'"), [""; 0]);
    assert_eq!(rows(&paula, "SELECT count(*) FROM payments WHERE iban LIKE 'DE…%'"), ["1"]);
    assert_eq!(gate.stored("SELECT iban FROM payments"), ["DE89370400440532013000"]);
    assert_eq!(rows(&paula, "SELECT payment, payer FROM journal"), ["p1 paula"]);
    let plan = rows(&paula, "EXPLAIN SELECT id FROM payments WHERE iban = 'x' AND amount > 3").join("\n");
    assert!(!plan.contains("\"iban\" ="), "a mask's condition stays in the gate: {plan}");
    // As parameters.
    let added = "INSERT INTO payments (id, iban, amount, currency) VALUES ($1, $2, 8, $3)";
    assert_eq!(gate.execute(&paula, added, &[&"p2", &GOOD, &"USD"]).unwrap(), 1);
    // The validation, the hook, and what is stored of both.
    let wrong = gate.execute(&paula, added, &[&"p3", &"DE00 3704 0044 0532 0130 00", &"EUR"]).unwrap_err();
    assert_eq!(wrong, ("23514".to_owned(), "That is no IBAN".to_owned()));
    let unknown = gate.execute(&paula, added, &[&"p3", &GOOD, &"XXX"]).unwrap_err();
    assert_eq!(unknown, ("P0001".to_owned(), "there is no such currency".to_owned()));
    // A value that is its own mask would destroy what is stored.
    let masked = refused(&paula, "UPDATE payments SET iban = 'DE…3000' WHERE id = 'p1'");
    assert_eq!(masked, ("23514".to_owned(), "masked value write refused".to_owned()));

    let token = gate.token("paula");
    let made = gate.send(&token, "POST", "pay_payments", &json!({"id": "p4", "iban": GOOD, "currency": "EUR"}));
    assert_eq!((made.0, &made.1["record"]["iban"]), (201, &json!("DE…3000")), "{made:?}");
    let wrong = gate.send(&token, "POST", "pay_payments", &json!({"id": "p5", "iban": "DE1", "currency": "EUR"}));
    let field = &wrong.1["fields"][0];
    assert_eq!((wrong.0, &field["field"], &field["code"]), (400, &json!("iban"), &json!("invalid_iban")), "{wrong:?}");
    let unknown = gate.send(&token, "POST", "pay_payments", &json!({"id": "p5", "iban": GOOD, "currency": "XXX"}));
    assert_eq!((unknown.0, &unknown.1["declaredCode"]), (400, &json!("UNKNOWN_CURRENCY")), "{unknown:?}");
    let found = gate.send(&token, "GET", "pay_payments/p1", &Value::Null);
    assert_eq!(found.1["record"]["iban"], "DE…3000", "{found:?}");
    assert_eq!(gate.stored("SELECT CAST(count(*) AS TEXT) FROM payments"), ["3"]);
    assert_eq!(gate.stored("SELECT CAST(count(*) AS TEXT) FROM journal"), ["3"]);

    let root = gate.client("root");
    let loaded = "SELECT extension, version, kind, name FROM querygate.extensions ORDER BY kind, name";
    let expected = ["hook journal", "hook spell_iban", "mask iban_ends", "source table", "validation iban"];
    assert_eq!(rows(&root, loaded), expected.map(|part| format!("payments 1.2.0 {part}")));
    assert_eq!(rows(&paula, "SELECT count(*) FROM querygate.extensions"), ["0"]);
    assert_eq!(
        rows(&root, "SELECT name, runs > 0 FROM querygate.hooks WHERE event = 'beforeInsert'"),
        ["spell_iban t"]
    );
}

/// Everything of this extension goes wrong for some value.
struct Faulty;

impl NativeHook for Faulty {
    fn run(&self, context: &mut HookContext<'_>) -> std::result::Result<(), HookError> {
        match context.input.get("currency").and_then(Value::as_str) {
            Some("panic") => panic!("a hidden 4711"),
            Some("ask") => context.api().count("pay_journal", json!({})).map(drop).map_err(HookError::from),
            Some("fail") => Err(HookError::Failed("a hidden 4711".to_owned())),
            _ => Ok(()),
        }
    }
}

impl NativeValidation for Faulty {
    fn check(&self, written: &Written<'_>) -> std::result::Result<Vec<Violation>, String> {
        match written.record.get("iban").and_then(Value::as_str) {
            Some("panic") => panic!("a hidden 4711"),
            Some("fail") => Err("a hidden 4711".to_owned()),
            _ => Ok(Vec::new()),
        }
    }
}

impl NativeMask for Faulty {
    fn mask(&self, text: &str) -> std::result::Result<String, String> {
        match text {
            "bad" => panic!("a hidden 4711"),
            "worse" => Err("a hidden 4711".to_owned()),
            "long" => Ok("4711".repeat(1_000)),
            text => Ok("x".repeat(text.len())),
        }
    }
}

impl NativeSource for Faulty {
    fn open(&self, settings: &SourceSettings) -> Result<Arc<dyn querygate_driver_api::driver::Driver>> {
        payments::Tables.open(settings)
    }
}

#[test]
fn what_goes_wrong_in_one_fails_its_statement_alone() {
    let version = Version::new(1, 0, 0);
    let extension = Extension::new(Manifest::new("faulty", version))
        .hook("spell_iban", Faulty)
        .hook("journal", payments::Journal)
        .validation("iban", Faulty)
        .mask("iban_ends", Faulty)
        .source("table", Faulty);
    let gate = Gate::serve(vec![extension]);
    let paula = gate.client("paula");
    let pay = |id: &str, iban: &str, currency: &str| {
        format!("INSERT INTO payments (id, iban, currency) VALUES ('{id}', '{iban}', '{currency}')")
    };
    for (iban, currency, code) in [
        ("good", "panic", "38000"),
        ("good", "fail", "38000"),
        // It does not say that it reads.
        ("good", "ask", "38000"),
        ("panic", "EUR", "23514"),
        ("fail", "EUR", "23514"),
    ] {
        let (told, text) = refused(&paula, &pay("p1", iban, currency));
        assert!(told == code && !text.contains("4711"), "{iban} {currency}: {told} {text}");
    }
    // Whether it is a masked value that comes back, a mask that fails does not say: it is not stored.
    assert_eq!(refused(&paula, &pay("p1", "bad", "EUR")).0, "23514");
    gate.execute_stored("INSERT INTO payments (id, iban) VALUES ('bad', 'bad'), ('worse', 'worse'), ('long', 'long')");
    gate.change(&paula, &pay("fine", "fine", "EUR"));
    for iban in ["bad", "worse", "long"] {
        let (told, text) = refused(&paula, &format!("SELECT iban FROM payments WHERE id = '{iban}'"));
        assert!(told == "XX000" && !text.contains("4711"), "{told} {text}");
        assert_eq!(rows(&paula, "SELECT id FROM payments WHERE id = 'fine' AND iban = 'xxxx'"), ["fine"]);
    }
    assert_eq!(rows(&paula, "SELECT count(*) FROM payments"), ["4"]);
}

#[test]
fn names_that_are_not_there_are_findings_with_their_places() {
    let gate = Gate::written();
    let (told, code) = command(vec![payments::extension()], &["check", &gate.file()]);
    assert!(code && told.contains("extension payments 1.2.0: hook spell_iban, journal; validation iban"), "{told}");
    gate.replace("metadata/stack.yaml", "native:iban_ends", "native:iban_end");
    gate.replace("metadata/stack.yaml", "type: native:iban,", "type: native:ibann,");
    gate.replace("metadata/stack.yaml", "native:spell_iban", "native:speling");
    let (told, code) = command(vec![payments::extension()], &["check", &gate.file()]);
    for expected in [
        "no extension has the mask 'iban_end'",
        "Did you mean 'native:iban_ends'?",
        "no extension has the validation 'ibann'",
        "no extension has the hook 'speling'",
        "stack.yaml:",
    ] {
        assert!(!code && told.contains(expected), "{expected}: {told}");
    }
    let (told, code) = command(Vec::new(), &["check", &gate.file()]);
    assert!(!code && told.contains("no extension has the kind `table`"), "{told}");
    gate.replace("querygate.toml", "native:table", "native:tabel");
    let (told, code) = command(vec![payments::extension()], &["check", &gate.file()]);
    assert!(!code && told.contains("did you mean `native:table`?"), "{told}");
}

#[test]
fn extensions_that_do_not_fit_together_are_named_at_the_start() {
    let one = Version::new(1, 0, 0);
    let named = |name: &str| Manifest::new(name, one);
    let extensions = vec![
        Extension::new(named("a").depends_on("b", one)),
        Extension::new(named("b").depends_on("a", one)),
        Extension::new(named("c").depends_on("missing", one).conflicts_with("a")),
    ];
    let (told, code) = command(extensions, &["--version"]);
    for expected in ["a → b → a", "\"missing\" 1.0.0, which is not there", "\"c\" cannot be beside \"a\""] {
        assert!(!code && told.contains(expected), "{expected}: {told}");
    }
    let refusing = Extension::new(named("late")).on_start(|| Err(querygate_types::Error::internal("no licence")));
    let gate = Gate::written();
    let error = gate.try_serve(vec![payments::extension(), refusing]).unwrap_err();
    assert!(error.message().contains("\"late\" does not start"), "{error}");
}

/// Masks as another gate of the process does not.
struct Blank;

impl NativeMask for Blank {
    fn mask(&self, _: &str) -> std::result::Result<String, String> {
        Ok(String::new())
    }
}

#[test]
fn gates_of_one_process_have_their_own_extensions() {
    let other = Extension::new(Manifest::new("other", Version::new(1, 0, 0)))
        .hook("spell_iban", SpellIban)
        .hook("journal", payments::Journal)
        .validation("iban", Iban)
        .mask("iban_ends", Blank)
        .source("table", payments::Tables);
    let gates = [Gate::serve(vec![payments::extension()]), Gate::serve(vec![other])];
    for (gate, expected) in gates.iter().zip(["DE…3000", ""]) {
        let paula = gate.client("paula");
        gate.change(&paula, &format!("INSERT INTO payments (id, iban) VALUES ('p1', '{GOOD}')"));
        assert_eq!(rows(&paula, "SELECT iban FROM payments"), [expected]);
    }
    assert!(!PASSWORD.is_empty());
}
