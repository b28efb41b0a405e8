//! Reads datasources, mapping rules and seed data, and routes objects to datasources. Opens nothing.

use super::shapes;
use crate::load::links::{Link, Links, Target};
use crate::model::{Datasource, Location, MappingRule, Object, OnMismatch, SchemaMode, SeedData, SeedMode};
use crate::read::{At, Map};
use crate::syntax::Value;

pub(in crate::load) fn read_datasource<'a>(at: &At<'a>, package: &str) -> Option<(Datasource, At<'a>)> {
    const MODES: &[(&str, SchemaMode)] = &[
        ("managed", SchemaMode::Managed),
        ("external", SchemaMode::External),
        ("validate-only", SchemaMode::ValidateOnly),
    ];
    const MISMATCHES: &[(&str, OnMismatch)] =
        &[("fail", OnMismatch::Fail), ("warn", OnMismatch::Warn), ("ignore", OnMismatch::Ignore)];
    let map = at.map(&shapes::DATASOURCE)?;
    let name_at = map.required("name")?;
    let name = name_at.name()?;
    let pool = map.get("pool").and_then(|at| at.map(&shapes::POOL));
    let external = map.get("external").and_then(|at| at.map(&shapes::DATASOURCE_EXTERNAL));
    let external = external.as_ref();
    let validation =
        external.and_then(|map| map.get("validation")).and_then(|at| at.map(&shapes::DATASOURCE_VALIDATION));
    let validation = validation.as_ref();
    let pool_size =
        |key: &str, default: u32| pool.as_ref().and_then(|pool| pool.small(key, 0, 10_000)).unwrap_or(default);
    let datasource = Datasource {
        label: map.text("label").unwrap_or_else(|| name.clone()),
        driver: map.required("driver")?.text()?,
        config: map.required("config").map_or(serde_json::Value::Null, |at| at.node.to_json()),
        pool_min: pool_size("min", 0),
        pool_max: pool_size("max", 10),
        active: map.flag("active", true),
        schema_mode: map.choice("schemaMode", "schema mode", MODES).unwrap_or(SchemaMode::Managed),
        allow_writes: external.is_some_and(|map| map.flag("allowWrites", false)),
        allowed_schemas: external.and_then(|map| map.get("allowedSchemas")).map(|at| at.texts()),
        on_mismatch: validation
            .and_then(|map| map.choice("onMismatch", "mismatch action", MISMATCHES))
            .unwrap_or(OnMismatch::Fail),
        check_on_boot: validation.is_none_or(|map| map.flag("checkOnBoot", true)),
        query_timeout_ms: external.and_then(|map| map.integer("queryTimeoutMs", 1, 86_400_000)).unwrap_or(30_000),
        credentials_ref: external.and_then(|map| map.text("credentialsRef")),
        package: Some(package.to_owned()),
        location: name_at.location(),
        name,
    };
    Some((datasource, name_at))
}

/// Rules without a priority come after those with one, in the order written.
const UNORDERED: i64 = 1_000_000;

pub(in crate::load) fn read_mapping<'a>(at: &At<'a>, links: &mut Links<'a>) -> Option<MappingRule> {
    let map = at.map(&shapes::MAPPING_RULE)?;
    let datasource_at = map.required("datasource")?;
    let datasource = datasource_at.text()?;
    links.add(Link { at: datasource_at, target: Target::Datasource(datasource.clone()) });
    let rule = MappingRule {
        namespace: map.text("namespace"),
        package: map.text("package"),
        object_pattern: map.text("objectPattern"),
        is_default: map.flag("default", false),
        datasource,
        priority: map.number("priority").map_or(UNORDERED, |number| number.clamp(-1e6, 1e6).round() as i64),
    };
    let selects = rule.namespace.is_some() || rule.package.is_some() || rule.object_pattern.is_some();
    if !selects && !rule.is_default {
        at.error_with("the rule selects nothing", "Write namespace, package, objectPattern or default.");
    }
    Some(rule)
}

/// The datasource of an object that names none itself.
pub(in crate::load) fn route(rules: &[MappingRule], object: &Object, namespace: Option<&str>, default: &str) -> String {
    let matches = |rule: &&MappingRule| {
        let selects = rule.namespace.is_some() || rule.package.is_some() || rule.object_pattern.is_some();
        if !selects {
            return rule.is_default;
        }
        rule.namespace.as_deref().is_none_or(|wanted| Some(wanted) == namespace)
            && rule.package.as_deref().is_none_or(|wanted| wanted == object.package)
            && rule.object_pattern.as_deref().is_none_or(|pattern| glob(pattern.as_bytes(), object.name.as_bytes()))
    };
    // The catch-all rule counts only when nothing else matches, wherever it is written.
    let specific = rules.iter().filter(|rule| !rule.is_default).find(matches);
    let chosen = specific.or_else(|| rules.iter().find(matches));
    chosen.map_or_else(|| default.to_owned(), |rule| rule.datasource.clone())
}

/// `*` any text, `?` one character (names are ASCII). Linear: only the last `*` is tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || text.get(t) == Some(&byte) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

pub(in crate::load) fn read_seed<'a>(at: &At<'a>, links: &mut Links<'a>) -> Option<SeedData> {
    const MODES: &[(&str, SeedMode)] = &[
        ("insert", SeedMode::Insert),
        ("update", SeedMode::Update),
        ("upsert", SeedMode::Upsert),
        ("replace", SeedMode::Replace),
        ("ignore", SeedMode::Ignore),
    ];
    const ENVIRONMENTS: &[(&str, &str)] = &[("prod", "prod"), ("dev", "dev"), ("test", "test")];
    let map = at.map(&shapes::SEED)?;
    let object_at = map.required("object")?;
    let object = object_at.text()?;
    links.add(Link { at: object_at.clone(), target: Target::Object(object.clone()) });
    let env = map.list("env");
    let (records, places) = read_records(&map);
    Some(SeedData {
        external_id: map.get("externalId").map_or_else(|| vec!["name".to_owned()], |at| read_external_id(&at)),
        mode: map.choice("mode", "seed mode", MODES).unwrap_or(SeedMode::Upsert),
        env: env.iter().filter_map(|at| at.choice("environment", ENVIRONMENTS)).map(str::to_owned).collect(),
        records,
        places,
        location: object_at.location(),
        object,
    })
}

fn read_external_id(at: &At<'_>) -> Vec<String> {
    if at.is_list() { at.texts() } else { at.text().into_iter().collect() }
}

fn read_records(map: &Map<'_>) -> (Vec<serde_json::Map<String, serde_json::Value>>, Vec<Location>) {
    let (mut records, mut places) = (Vec::new(), Vec::new());
    for at in map.required("records").map(|at| at.list()).unwrap_or_default() {
        if let (Value::Map(_), serde_json::Value::Object(row)) = (&at.node.value, at.node.to_json()) {
            records.push(row);
            places.push(at.location());
        } else {
            at.error("a record is a mapping");
        }
    }
    (records, places)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        };
        check("sys_*", "sys_user", true);
        check("sys_*", "crm_user", false);
        check("*_line", "crm_invoice_line", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*", "", true);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXbXbX", false);
    }
}
