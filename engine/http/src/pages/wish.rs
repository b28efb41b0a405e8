//! What a form may ask to be done: a closed list of procedures. The engine decides who may call them.

use super::html::percent;
use super::layout::Place;
use querygate_telemetry_api::advice::Variant;

/// A form's purpose, by its address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish<'a> {
    Acknowledge,
    /// `pin`, `unpin`, `forget`.
    Plan(&'a str),
    /// `apply`, `undo`.
    Suggestion(&'a str),
}

/// A CALL whose arguments are numbers, names of plans and fingerprints. CALL takes constants only, so they stand in its text:
/// none of them can hold a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Procedure(String);

impl Procedure {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_CHARS: usize = 16;

impl Wish<'_> {
    /// The procedure, the address to go back to, and its place. `None`: the form asks for nothing that there is.
    pub(crate) fn statement<'f>(&self, field: impl Fn(&'static str) -> &'f str) -> Option<(Procedure, String, Place)> {
        match self {
            Wish::Acknowledge => {
                let id: u64 = field("id").parse().ok()?;
                let call = Procedure(format!("CALL querygate.acknowledge({id})"));
                Some((call, "/ui/anomalies".to_owned(), Place::Anomalies))
            }
            Wish::Suggestion(action) => {
                let id: u64 = field("id").parse().ok()?;
                let call = match *action {
                    "apply" => format!("CALL querygate.apply({id})"),
                    "undo" => format!("CALL querygate.undo({id})"),
                    _ => return None,
                };
                Some((Procedure(call), "/ui/indexes".to_owned(), Place::Indexes))
            }
            Wish::Plan(action) => {
                let given = field("fingerprint");
                let number = u64::from_str_radix(given, 16).ok().filter(|_| given.len() == FINGERPRINT_CHARS)?;
                let call = match *action {
                    "pin" => {
                        let name = Variant::from_name(field("alternative"))?.name();
                        format!("CALL querygate.pin('{number:016x}', '{name}')")
                    }
                    "unpin" => format!("CALL querygate.unpin('{number:016x}')"),
                    "forget" => format!("CALL querygate.forget('{number:016x}')"),
                    _ => return None,
                };
                Some((Procedure(call), format!("/ui/query/{}", percent(given)), Place::Overview))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_ask_for_what_there_is_and_nothing_else() {
        let asked = |wish: Wish<'_>, fields: &[(&str, &'static str)]| {
            let fields = fields.to_vec();
            let field =
                |name: &'static str| fields.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
            wish.statement(field).map(|(procedure, back, _)| (procedure.0, back))
        };
        let (call, back) = asked(Wish::Acknowledge, &[("id", "12")]).unwrap();
        assert_eq!((call.as_str(), back.as_str()), ("CALL querygate.acknowledge(12)", "/ui/anomalies"));
        for id in ["", "-1", "1; DROP", "1'"] {
            assert_eq!(asked(Wish::Acknowledge, &[("id", id)]), None, "{id}");
        }
        let good = ("fingerprint", "00000000000000ff");
        let (call, _) = asked(Wish::Plan("pin"), &[good, ("alternative", "fetch")]).unwrap();
        assert_eq!(call, "CALL querygate.pin('00000000000000ff', 'fetch')");
        let (call, back) = asked(Wish::Plan("unpin"), &[good]).unwrap();
        assert_eq!(
            (call.as_str(), back.as_str()),
            ("CALL querygate.unpin('00000000000000ff')", "/ui/query/00000000000000ff")
        );
        assert_eq!(asked(Wish::Plan("pin"), &[good, ("alternative", "x' OR '1")]), None);
        assert_eq!(asked(Wish::Plan("forget"), &[("fingerprint", "'); --")]), None);
        assert_eq!(
            asked(Wish::Plan("forget"), &[("fingerprint", "+0000000000000ff")]).map(|(call, _)| call),
            asked(Wish::Plan("forget"), &[good]).map(|(call, _)| call)
        );
        assert_eq!(asked(Wish::Plan("drop"), &[good]), None);
        for action in ["apply", "undo"] {
            let (call, back) = asked(Wish::Suggestion(action), &[("id", "7")]).unwrap();
            assert_eq!((call, back.as_str()), (format!("CALL querygate.{action}(7)"), "/ui/indexes"));
            assert_eq!(asked(Wish::Suggestion(action), &[("id", "7); DROP")]), None);
        }
        assert_eq!(asked(Wish::Suggestion("drop"), &[("id", "7")]), None);
    }
}
