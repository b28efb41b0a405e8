//! The closed shapes of stack definitions 17.4, key by key. Reads nothing.

use crate::read::Shape;

/// Collections that a stack or an assembled package may hold.
pub(in crate::load) const COLLECTIONS: &[&str] = &[
    "datasources",
    "datasourceMapping",
    "translations",
    "i18n",
    "objects",
    "objectExtensions",
    "apps",
    "views",
    "pages",
    "dashboards",
    "reports",
    "datasets",
    "actions",
    "flows",
    "jobs",
    "emailTemplates",
    "docs",
    "books",
    "positions",
    "permissions",
    "capabilities",
    "sharingRules",
    "apis",
    "webhooks",
    "agents",
    "tools",
    "skills",
    "hooks",
    "functions",
    "mappings",
    "analyticsCubes",
    "connectors",
    "picklists",
    "picklistExtensions",
    "data",
];

const HOST: &[&str] = &["viewItems", "api", "server", "plugins", "devPlugins", "tiers", "runtimeModule", "onEnable"];

macro_rules! concat_keys {
    ($name:ident = $($list:ident),+) => {
        const $name: &[&str] = &{
            const LEN: usize = 0 $(+ $list.len())+;
            let mut all = [""; LEN];
            let mut at = 0;
            $(
                let mut index = 0;
                while index < $list.len() {
                    all[at] = $list[index];
                    at += 1;
                    index += 1;
                }
            )+
            all
        };
    };
}

const STACK_OWN: &[&str] = &["manifest", "packages", "requires", "querygate"];
const PACKAGE_OWN: &[&str] = &["manifest"];
concat_keys!(STACK_READ = STACK_OWN, COLLECTIONS);

pub(in crate::load) const STACK: Shape =
    Shape { what: "a stack definition", read: STACK_READ, ignored: HOST, removed: &[] };

const MANIFEST_OWN: &[&str] =
    &["id", "namespace", "defaultDatasource", "version", "type", "scope", "name", "description", "dependencies"];
const MANIFEST_HOST: &[&str] = &[
    "engine",
    "engines",
    "runtime",
    "packaging",
    "main",
    "integrity",
    "contributes",
    "navigationContributions",
    "configuration",
    "capabilities",
    "extensions",
    "loading",
];
const MANIFEST_GLOBS: &[&str] = &["permissions", "objects", "datasources"];
const MANIFEST_DATA: &[&str] = &["data"];
concat_keys!(MANIFEST_READ = MANIFEST_OWN, MANIFEST_DATA);
concat_keys!(MANIFEST_IGNORED = MANIFEST_HOST, MANIFEST_GLOBS);
concat_keys!(BODY_READ = MANIFEST_OWN, COLLECTIONS);

pub(in crate::load) const MANIFEST: Shape =
    Shape { what: "a manifest", read: MANIFEST_READ, ignored: MANIFEST_IGNORED, removed: &[] };
/// The manifest of a `packages` entry, which carries the package's collections.
pub(in crate::load) const PACKAGE_BODY: Shape =
    Shape { what: "a package body", read: BODY_READ, ignored: MANIFEST_HOST, removed: &[] };
concat_keys!(PACKAGE_READ = PACKAGE_OWN, COLLECTIONS);
pub(in crate::load) const PACKAGE: Shape = Shape { what: "a package", read: PACKAGE_READ, ignored: &[], removed: &[] };

pub(in crate::load) const OBJECT: Shape = Shape {
    what: "an object",
    read: &[
        "name",
        "label",
        "pluralLabel",
        "description",
        "fields",
        "nameField",
        "imageField",
        "datasource",
        "external",
        "sharingModel",
        "externalSharingModel",
        "access",
        "requiredPermissions",
        "tenancy",
        "ownership",
        "managedBy",
        "systemFields",
        "isSystem",
        "enable",
        "validations",
        "indexes",
        "searchableFields",
        "lifecycle",
        "publicSharing",
    ],
    ignored: &[
        "icon",
        "actions",
        "listViews",
        "fieldGroups",
        "activityMilestones",
        "highlightFields",
        "stageField",
        "editMode",
        "userActions",
        "fileAccessDelegate",
        "displayNameField",
        "titleFormat",
    ],
    removed: &[],
};

pub(in crate::load) const FIELD: Shape = Shape {
    what: "a field",
    read: &[
        "name",
        "label",
        "type",
        "description",
        "required",
        "storage",
        "searchable",
        "multiple",
        "unique",
        "defaultValue",
        "maxLength",
        "minLength",
        "precision",
        "scale",
        "min",
        "max",
        "step",
        "options",
        "picklist",
        "reference",
        "deleteBehavior",
        "expression",
        "returnType",
        "summaryOperations",
        "dimensions",
        "hidden",
        "internal",
        "readonly",
        "requiredPermissions",
        "maskingRule",
        "sortable",
        "autonumberFormat",
        "readonlyWhen",
        "requiredWhen",
        "valueDomain",
        "currencyConfig",
        "externalId",
        "trackHistory",
    ],
    ignored: &[
        "format",
        "rows",
        "useGrouping",
        "accept",
        "maxSize",
        "referenceVia",
        "inlineEdit",
        "inlineTitle",
        "inlineColumns",
        "inlineAmountField",
        "relatedList",
        "relatedListTitle",
        "relatedListColumns",
        "relatedListFilter",
        "displayField",
        "descriptionField",
        "lookupColumns",
        "lookupPageSize",
        "lookupFilters",
        "dependsOn",
        "allowCreate",
        "language",
        "group",
        "visibleWhen",
        "widget",
        "ackPlaintextMasking",
        "system",
        "inlineHelpText",
        "placeholder",
    ],
    removed: &[("conditionalRequired", "Write `requiredWhen`.")],
};

pub(in crate::load) const OPTION: Shape = Shape {
    what: "an option",
    read: &["label", "value", "default", "visibleWhen"],
    ignored: &["description", "color"],
    removed: &[],
};
pub(in crate::load) const STORAGE: Shape = Shape { what: "storage", read: &["notNull"], ignored: &[], removed: &[] };
pub(in crate::load) const MASKING: Shape =
    Shape { what: "a masking rule", read: &["keepHead", "keepTail"], ignored: &[], removed: &[] };
pub(in crate::load) const SUMMARY: Shape = Shape {
    what: "summary operations",
    read: &["object", "field", "function", "relationshipField", "filter"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const CURRENCY_CONFIG: Shape = Shape {
    what: "a currency configuration",
    read: &["precision", "currencyMode", "defaultCurrency"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const ACCESS: Shape = Shape { what: "access", read: &["default"], ignored: &[], removed: &[] };
pub(in crate::load) const REQUIRED_PERMISSIONS: Shape =
    Shape { what: "required permissions", read: &["read", "create", "update", "delete"], ignored: &[], removed: &[] };
pub(in crate::load) const TENANCY: Shape =
    Shape { what: "tenancy", read: &["enabled", "tenantField", "organizationField"], ignored: &[], removed: &[] };
pub(in crate::load) const SYSTEM_FIELDS: Shape =
    Shape { what: "system fields", read: &["tenant", "audit"], ignored: &[], removed: &[] };
pub(in crate::load) const ENABLE: Shape = Shape {
    what: "enable",
    read: &["apiEnabled", "apiMethods", "trackHistory"],
    ignored: &["searchable", "files", "feeds", "activities", "clone"],
    removed: &[],
};
pub(in crate::load) const EXTERNAL: Shape = Shape {
    what: "an external binding",
    read: &["remoteName", "remoteSchema", "writable", "columnMap", "ignoreColumns"],
    ignored: &["introspectedAt"],
    removed: &[],
};
pub(in crate::load) const INDEX: Shape = Shape {
    what: "an index",
    read: &["name", "fields", "unique"],
    ignored: &[],
    removed: &[("type", "Leave it out."), ("partial", "Leave it out.")],
};
pub(in crate::load) const EXTENSION: Shape = Shape {
    what: "an object extension",
    read: &["extend", "fields", "label", "pluralLabel", "description", "validations", "indexes", "priority"],
    ignored: &[],
    removed: &[],
};

const VALIDATION_COMMON: &[&str] = &["type", "name", "label", "active", "events", "priority", "severity", "message"];
const VALIDATION_PROSE: &[&str] = &["description", "tags"];
const CONDITION_OWN: &[&str] = &["condition"];
const CROSS_FIELD_OWN: &[&str] = &["condition", "fields"];
const FORMAT_OWN: &[&str] = &["field", "regex", "format"];
const STATE_MACHINE_OWN: &[&str] = &["field", "transitions", "initialStates"];
const JSON_SCHEMA_OWN: &[&str] = &["field", "schema"];
const CONDITIONAL_OWN: &[&str] = &["when", "then", "otherwise"];
const NATIVE_OWN: &[&str] = &["fields"];
concat_keys!(SCRIPT_READ = VALIDATION_COMMON, CONDITION_OWN);
concat_keys!(CROSS_FIELD_READ = VALIDATION_COMMON, CROSS_FIELD_OWN);
concat_keys!(FORMAT_READ = VALIDATION_COMMON, FORMAT_OWN);
concat_keys!(STATE_MACHINE_READ = VALIDATION_COMMON, STATE_MACHINE_OWN);
concat_keys!(JSON_SCHEMA_READ = VALIDATION_COMMON, JSON_SCHEMA_OWN);
concat_keys!(CONDITIONAL_READ = VALIDATION_COMMON, CONDITIONAL_OWN);
concat_keys!(NATIVE_READ = VALIDATION_COMMON, NATIVE_OWN);

const fn validation(what: &'static str, read: &'static [&'static str]) -> Shape {
    Shape { what, read, ignored: VALIDATION_PROSE, removed: &[] }
}

pub(in crate::load) const VALIDATION_SCRIPT: Shape = validation("a script validation", SCRIPT_READ);
pub(in crate::load) const VALIDATION_CROSS_FIELD: Shape = validation("a cross_field validation", CROSS_FIELD_READ);
pub(in crate::load) const VALIDATION_FORMAT: Shape = validation("a format validation", FORMAT_READ);
pub(in crate::load) const VALIDATION_STATE_MACHINE: Shape =
    validation("a state_machine validation", STATE_MACHINE_READ);
pub(in crate::load) const VALIDATION_JSON_SCHEMA: Shape = validation("a json_schema validation", JSON_SCHEMA_READ);
pub(in crate::load) const VALIDATION_CONDITIONAL: Shape = validation("a conditional validation", CONDITIONAL_READ);
pub(in crate::load) const VALIDATION_NATIVE: Shape = validation("a native validation", NATIVE_READ);

pub(in crate::load) const PERMISSION_SET: Shape = Shape {
    what: "a permission set",
    read: &[
        "name",
        "label",
        "description",
        "isDefault",
        "objects",
        "fields",
        "systemPermissions",
        "rowLevelSecurity",
        "adminScope",
    ],
    ignored: &["tabPermissions", "packageId", "managedBy"],
    removed: &[],
};
pub(in crate::load) const OBJECT_PERMISSION: Shape = Shape {
    what: "an object permission",
    read: &[
        "allowCreate",
        "allowRead",
        "allowEdit",
        "allowDelete",
        "allowExport",
        "allowTransfer",
        "viewAllRecords",
        "modifyAllRecords",
        "readScope",
        "writeScope",
    ],
    ignored: &[],
    removed: &[
        ("allowRestore", "Leave it out: nothing grants restore."),
        ("allowPurge", "Leave it out: nothing grants purge."),
    ],
};
pub(in crate::load) const FIELD_PERMISSION: Shape =
    Shape { what: "a field permission", read: &["readable", "editable"], ignored: &[], removed: &[] };
pub(in crate::load) const ROW_POLICY: Shape = Shape {
    what: "a row policy",
    read: &["name", "object", "operation", "using", "check", "positions", "enabled"],
    ignored: &["label", "description", "tags"],
    removed: &[("priority", "Leave it out: policies are ORed, their order does not count.")],
};
pub(in crate::load) const SHARING_RULE: Shape = Shape {
    what: "a sharing rule",
    read: &["name", "label", "object", "condition", "accessLevel", "sharedWith", "active", "type"],
    ignored: &["description"],
    removed: &[],
};
pub(in crate::load) const SHARED_WITH: Shape =
    Shape { what: "a recipient", read: &["type", "value"], ignored: &[], removed: &[] };
pub(in crate::load) const POSITION: Shape =
    Shape { what: "a position", read: &["name", "label", "description"], ignored: &["delegatable"], removed: &[] };
pub(in crate::load) const PICKLIST: Shape =
    Shape { what: "a picklist", read: &["name", "label", "options"], ignored: &["description"], removed: &[] };
pub(in crate::load) const PICKLIST_EXTENSION: Shape =
    Shape { what: "a picklist extension", read: &["extend", "options"], ignored: &[], removed: &[] };
pub(in crate::load) const CAPABILITY: Shape = Shape {
    what: "a capability",
    read: &["name", "label", "description"],
    ignored: &["scope", "packageId"],
    removed: &[],
};

pub(in crate::load) const WEBHOOK: Shape = Shape {
    what: "a webhook",
    read: &[
        "name",
        "object",
        "triggers",
        "url",
        "method",
        "timeoutMs",
        "isActive",
        "includeSession",
        "headers",
        "body",
        "payloadFields",
        "authentication",
        "secret",
    ],
    ignored: &["label", "description", "tags", "retryPolicy"],
    removed: &[],
};

pub(in crate::load) const DATASOURCE: Shape = Shape {
    what: "a datasource",
    read: &["name", "label", "driver", "config", "pool", "active", "schemaMode", "external"],
    ignored: &["description", "ssl", "autoConnect", "origin"],
    removed: &[],
};
/// Querygate's own part of metadata.
pub(in crate::load) const QUERYGATE: Shape =
    Shape { what: "querygate", read: &["tables", "hooks"], ignored: &[], removed: &[] };
pub(in crate::load) const OWN_HOOK: Shape = Shape { what: "a hook", read: &["filter"], ignored: &[], removed: &[] };
pub(in crate::load) const TABLE: Shape = Shape {
    what: "a table",
    read: &["columnTypes", "enums", "primaryKey", "uniqueKeys", "foreignKeys", "file"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const TABLE_FILE: Shape = Shape {
    what: "a file",
    read: &["format", "delimiter", "quote", "header", "null", "encoding"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const TABLE_ENUM: Shape =
    Shape { what: "an enum", read: &["name", "labels"], ignored: &[], removed: &[] };
pub(in crate::load) const TABLE_KEY: Shape =
    Shape { what: "a key", read: &["name", "columns", "index"], ignored: &[], removed: &[] };
pub(in crate::load) const TABLE_FOREIGN_KEY: Shape = Shape {
    what: "a foreign key",
    read: &["name", "columns", "references", "referencedColumns", "onDelete", "onUpdate"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const POOL: Shape = Shape {
    what: "a pool",
    read: &["min", "max"],
    ignored: &["idleTimeoutMillis", "connectionTimeoutMillis"],
    removed: &[],
};
pub(in crate::load) const DATASOURCE_EXTERNAL: Shape = Shape {
    what: "external settings",
    read: &["allowedSchemas", "allowWrites", "validation", "credentialsRef", "queryTimeoutMs"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const DATASOURCE_VALIDATION: Shape = Shape {
    what: "external validation",
    read: &["onMismatch", "checkOnBoot"],
    ignored: &["checkIntervalMs"],
    removed: &[],
};
pub(in crate::load) const MAPPING_RULE: Shape = Shape {
    what: "a mapping rule",
    read: &["namespace", "package", "objectPattern", "default", "datasource", "priority"],
    ignored: &[],
    removed: &[],
};
pub(in crate::load) const SEED: Shape = Shape {
    what: "seed data",
    read: &["object", "externalId", "mode", "env", "records"],
    ignored: &["locale"],
    removed: &[],
};
