//! Rules that a table's names suggest, in words and as the lines that would say them. Nothing here is applied.

use crate::introspect::TableNames;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleSubject {
    /// Which rows are seen.
    Rows,
    /// How a field is seen, and whether it is.
    Field,
    /// That rows are seen with their master.
    Master,
}

/// One rule to think about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) words: String,
    pub(super) subject: RuleSubject,
    /// The object and its field that suggest it.
    pub(super) object: String,
    pub(super) field: String,
    /// Where the line goes, and the line.
    pub(super) place: &'static str,
    pub(super) line: String,
}

/// Where masks go.
const FIELD: &str = "the field";

/// How a mask is lifted, where one is proposed: as it stands, it is everybody's.
pub(super) fn lifting(namespace: &str, proposals: &[Proposal]) -> Option<String> {
    let permission = format!("[\"{namespace}.see_masked\"]");
    proposals.iter().any(|proposal| proposal.place == FIELD).then(|| {
        format!(
            "A mask is for everybody. To lift it for some, add \"requiredPermissions\": {permission} beside it, \
             and \"systemPermissions\": {permission} to their permission set."
        )
    })
}

const OWNERS: &[&str] =
    &["owner", "owner_id", "owned_by", "user_id", "created_by", "assigned_to", "assignee", "sales_rep"];
const GROUPS: &[&str] = &[
    "region",
    "region_id",
    "country",
    "country_code",
    "territory",
    "branch",
    "branch_id",
    "department",
    "department_id",
    "store_id",
    "tenant",
    "tenant_id",
    "organization_id",
    "org_id",
    "company_id",
    "ward",
    "team_id",
];

/// What is covered for readers, and how.
enum Cover {
    Mask(&'static str),
    Hide,
}

const SENSITIVE: &[(&[&str], Cover, &str)] = &[
    (&["email", "e_mail", "mail"], Cover::Mask("\"email\""), "an e-mail address"),
    (&["phone", "mobile", "telephone", "fax", "cell"], Cover::Mask("\"phone\""), "a telephone number"),
    (
        &["iban", "card", "card_number", "credit_card", "account_number"],
        Cover::Mask("{\"keepTail\": 4}"),
        "an account or card",
    ),
    (&["salary", "wage", "bonus", "income"], Cover::Hide, "pay"),
    (&["password", "passwd", "pwd", "secret", "token", "api_key"], Cover::Hide, "a secret"),
    (&["ssn", "social_security", "passport", "tax_id", "diagnosis"], Cover::Hide, "something personal"),
];

/// What the names of the tables suggest, table by table.
pub(super) fn proposals(tables: &[TableNames]) -> Vec<Proposal> {
    let mut all = Vec::new();
    for table in tables {
        let rows = |column: &str, attribute: &str| {
            format!(
                "{{\"name\": \"{}_by_{column}\", \"object\": \"{}\", \"operation\": \"select\", \"using\": \"{column} == current_user.{attribute}\"}}",
                table.object, table.object
            )
        };
        let place = "permissions[].rowLevelSecurity";
        for column in &table.fields {
            let name = column.as_str();
            let of_rows = if OWNERS.contains(&name) {
                Some(("looks like an owner: own rows only", "id"))
            } else if GROUPS.contains(&name) {
                Some(("looks like a group: only the rows of one's own", name))
            } else {
                None
            };
            all.extend(of_rows.map(|(looks, attribute)| Proposal {
                words: format!("{}: `{name}` {looks}", table.object),
                subject: RuleSubject::Rows,
                object: table.object.clone(),
                field: name.to_owned(),
                place,
                line: rows(name, attribute),
            }));
            all.extend(sensitive(&table.object, name));
        }
        // A row whose parent is one of its own table would be visible only with a chain that never ends.
        if let [(field, parent)] = &table.parents[..]
            && *parent != table.object
        {
            all.push(Proposal {
                words: format!("{}: visible with its `{parent}`, by `{field}`", table.object),
                subject: RuleSubject::Master,
                object: table.object.clone(),
                field: field.clone(),
                place: "the object, and the type of the field",
                line: format!(
                    "\"sharingModel\": \"controlled_by_parent\", \"{field}\": {{\"type\": \"master_detail\", …}}"
                ),
            });
        }
    }
    all
}

fn sensitive(object: &str, field: &str) -> Option<Proposal> {
    let is =
        |name: &str| field == name || field.ends_with(&format!("_{name}")) || field.starts_with(&format!("{name}_"));
    let (_, cover, what) = SENSITIVE.iter().find(|(names, _, _)| names.iter().any(|name| is(name)))?;
    let (looks, place, line) = match cover {
        Cover::Mask(rule) => ("mask it", FIELD, format!("\"maskingRule\": {rule}")),
        Cover::Hide => ("hide it", "permissions[].fields", format!("\"{object}.{field}\": {{\"readable\": false}}")),
    };
    Some(Proposal {
        words: format!("{object}: `{field}` looks like {what}: {looks}"),
        subject: RuleSubject::Field,
        object: object.to_owned(),
        field: field.to_owned(),
        place,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_suggest_rules() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tables = [
            TableNames {
                object: "s_orders".to_owned(),
                remote: String::new(),
                columns: Vec::new(),
                fields: names(&["id", "owner_id", "region", "customer_email", "total"]),
                parents: Vec::new(),
            },
            TableNames {
                object: "s_lines".to_owned(),
                remote: String::new(),
                columns: Vec::new(),
                fields: names(&["order_id", "salary"]),
                parents: vec![("order_id".to_owned(), "s_orders".to_owned())],
            },
            TableNames {
                object: "s_staff".to_owned(),
                remote: String::new(),
                columns: Vec::new(),
                fields: names(&["id", "reports_to"]),
                parents: vec![("reports_to".to_owned(), "s_staff".to_owned())],
            },
        ];
        let proposed = proposals(&tables);
        let lifted = lifting("s", &proposed).unwrap();
        assert!(lifted.contains("\"requiredPermissions\": [\"s.see_masked\"] beside it, and \"systemPermissions\""));
        assert_eq!(lifting("s", &[]), None);
        let words: Vec<String> = proposed.into_iter().map(|p| p.words).collect();
        assert_eq!(
            words,
            [
                "s_orders: `owner_id` looks like an owner: own rows only",
                "s_orders: `region` looks like a group: only the rows of one's own",
                "s_orders: `customer_email` looks like an e-mail address: mask it",
                "s_lines: `salary` looks like pay: hide it",
                "s_lines: visible with its `s_orders`, by `order_id`",
            ]
        );
    }
}
