//! Reads the validations of an object. Compiles no expression and no pattern.

use super::shapes;
use crate::load::links::{Link, Links, Target};
use crate::load::native::{self, NativeKind};
use crate::model::{TextFormat, Validation, ValidationCheck, ValidationEvents, ValidationSeverity};
use crate::read::{At, Map, Shape};
use indexmap::IndexMap;

/// Validations within validations.
const DEPTH_MAX: usize = 8;

/// `type` of a validation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Script,
    CrossField,
    Format,
    StateMachine,
    JsonSchema,
    Conditional,
}

const KINDS: &[(&str, Kind)] = &[
    ("script", Kind::Script),
    ("cross_field", Kind::CrossField),
    ("format", Kind::Format),
    ("state_machine", Kind::StateMachine),
    ("json_schema", Kind::JsonSchema),
    ("conditional", Kind::Conditional),
];

impl Kind {
    const fn shape(self) -> &'static Shape {
        match self {
            Self::Script => &shapes::VALIDATION_SCRIPT,
            Self::CrossField => &shapes::VALIDATION_CROSS_FIELD,
            Self::Format => &shapes::VALIDATION_FORMAT,
            Self::StateMachine => &shapes::VALIDATION_STATE_MACHINE,
            Self::JsonSchema => &shapes::VALIDATION_JSON_SCHEMA,
            Self::Conditional => &shapes::VALIDATION_CONDITIONAL,
        }
    }
}

/// The `validations` of an object or extension.
pub(in crate::load) fn read_validations<'a>(map: &Map<'a>, object: &str, links: &mut Links<'a>) -> Vec<Validation> {
    let mut reader = Reader { object, links };
    let mut validations: Vec<Validation> = Vec::new();
    for at in map.list("validations") {
        let Some(validation) = reader.validation(&at, 0) else { continue };
        if validations.iter().any(|other| other.name == validation.name) {
            at.warn(format!("validation '{}' is defined twice; both are applied", validation.name), None);
        }
        validations.push(validation);
    }
    validations
}

struct Reader<'l, 'a> {
    object: &'l str,
    links: &'l mut Links<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn validation(&mut self, at: &At<'a>, depth: usize) -> Option<Validation> {
        if depth > DEPTH_MAX {
            at.error(format!("validations are nested deeper than {DEPTH_MAX}"));
            return None;
        }
        let type_at = at.open()?.required("type")?;
        let native = native::read(&type_at, NativeKind::Validation, self.links);
        let (kind, shape) = match &native {
            Some(_) => (None, &shapes::VALIDATION_NATIVE),
            None => {
                let kind = type_at.choice("validation type", KINDS)?;
                (Some(kind), kind.shape())
            }
        };
        let map = at.map(shape)?;
        let name = map.required("name").and_then(|at| at.name());
        let message = map.required("message").and_then(|at| at.text());
        let check = match (kind, native) {
            (Some(kind), _) => self.check(kind, &map, depth),
            (None, Some(name)) => {
                let fields = map.list("fields").iter().filter_map(|at| self.field_of(at)).collect();
                Some(ValidationCheck::Native { name, fields })
            }
            (None, None) => None,
        };
        Some(Validation {
            label: map.text("label"),
            active: map.flag("active", true),
            events: read_events(&map),
            priority: map.integer("priority", 0, 9_999).and_then(|n| i64::try_from(n).ok()).unwrap_or(100),
            severity: map.choice("severity", "severity", SEVERITIES).unwrap_or(ValidationSeverity::Error),
            location: at.location(),
            name: name?,
            message: message?,
            check: check?,
        })
    }

    fn check(&mut self, kind: Kind, map: &Map<'a>, depth: usize) -> Option<ValidationCheck> {
        match kind {
            Kind::Script => {
                Some(ValidationCheck::Condition { condition: map.required("condition")?.cel()?, fields: Vec::new() })
            }
            Kind::CrossField => {
                let condition = map.required("condition").and_then(|at| at.cel());
                let fields = map.required("fields").map(|at| at.list()).unwrap_or_default();
                let fields = fields.iter().filter_map(|at| self.field_of(at)).collect();
                Some(ValidationCheck::Condition { condition: condition?, fields })
            }
            Kind::Format => {
                let field = self.field(map);
                let (regex, format) = (map.text("regex"), map.choice("format", "format", FORMATS));
                if map.get("regex").is_none() && map.get("format").is_none() {
                    map.at().key_error("a format validation needs a regex or a format", None);
                }
                Some(ValidationCheck::Format { field: field?, regex, format })
            }
            Kind::StateMachine => {
                let field = self.field(map);
                let transitions = map.required("transitions").and_then(|at| read_transitions(&at));
                let initial_states = map.get("initialStates").map(|at| at.texts());
                Some(ValidationCheck::StateMachine { field: field?, transitions: transitions?, initial_states })
            }
            Kind::JsonSchema => {
                let field = self.field(map);
                let at = map.required("schema")?;
                if !at.is_map() {
                    at.expected("a schema");
                    return None;
                }
                Some(ValidationCheck::JsonSchema { field: field?, schema: at.node.to_json() })
            }
            Kind::Conditional => {
                let when = map.required("when").and_then(|at| at.cel());
                let then = map.required("then").and_then(|at| self.validation(&at, depth + 1));
                let otherwise = map.get("otherwise").and_then(|at| self.validation(&at, depth + 1));
                Some(ValidationCheck::Conditional {
                    when: when?,
                    then: Box::new(then?),
                    otherwise: otherwise.map(Box::new),
                })
            }
        }
    }

    fn field(&mut self, map: &Map<'a>) -> Option<String> {
        map.required("field").and_then(|at| self.field_of(&at))
    }

    fn field_of(&mut self, at: &At<'a>) -> Option<String> {
        let field = at.text()?;
        let target = Target::Field { object: self.object.to_owned(), field: field.clone() };
        self.links.add(Link { at: at.clone(), target });
        Some(field)
    }
}

const SEVERITIES: &[(&str, ValidationSeverity)] = &[
    ("error", ValidationSeverity::Error),
    ("warning", ValidationSeverity::Warning),
    ("info", ValidationSeverity::Info),
];

const FORMATS: &[(&str, TextFormat)] =
    &[("email", TextFormat::Email), ("url", TextFormat::Url), ("phone", TextFormat::Phone), ("json", TextFormat::Json)];

fn read_events(map: &Map<'_>) -> ValidationEvents {
    let Some(at) = map.get("events") else { return ValidationEvents { insert: true, update: true } };
    let mut events = ValidationEvents { insert: false, update: false };
    for item in at.list() {
        if item.is_text() && item.text().as_deref() == Some("delete") {
            item.warn("validations never run on a delete", None);
            continue;
        }
        match item.choice("event", &[("insert", true), ("update", false)]) {
            Some(true) => events.insert = true,
            Some(false) => events.update = true,
            None => {}
        }
    }
    events
}

fn read_transitions(at: &At<'_>) -> Option<IndexMap<String, Vec<String>>> {
    let map = at.open()?;
    Some(map.entries().map(|(from, at)| (from.to_owned(), at.texts())).collect())
}
