//! `[events]`: of which changes events are kept, where, for how long. Opens nothing.

use super::resolve::to_usize;
use super::sources::{check_name, secret};
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::{Environment, Secret};
use super::syntax::table::{At, Table};
use super::{Config, EventWebhook, Events, MetadataWebhooks, SentWebhooks};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(86_400);

/// Reads `[events]`; without it, or with `enabled = false`, no event is kept.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> (Option<Events>, MetadataWebhooks) {
    let Some(table) = table else { return (None, MetadataWebhooks::Unsaid) };
    let enabled = table.boolean("enabled").is_none_or(|on| on.value);
    let directory = table.text("path").map_or_else(|| "events".to_owned(), |path| path.value);
    let mut options =
        querygate_events::EventOptions::in_directory(Config::resolve_path(environment.folder(), &directory));
    let objects = table.texts("objects");
    // An empty list is one: the log is kept, for history alone, and no object is followed.
    if table.keys().any(|(key, _)| key == "objects") {
        let names = objects.into_iter().map(|name| name.value).collect();
        options.objects = querygate_events::Objects::Named(names);
    }
    if let Some(retention) = table.duration("retention") {
        if retention.value < Duration::from_secs(60) {
            table.error(retention.span, "`retention` must be at least a minute");
        } else {
            options.retention = retention.value;
        }
    }
    if let Some(size) = table.bytes("size_max") {
        if size.value < 16 * MIB {
            table.error(size.span, "`size_max` must be at least 16MB");
        } else {
            options.size_max = size.value;
        }
    }
    for (key, most) in [("memory_max", &mut options.memory_max), ("transaction_max", &mut options.transaction_max)] {
        if let Some(size) = table.bytes(key) {
            if size.value < MIB {
                table.error(size.span, format!("`{key}` must be at least 1MB"));
            } else {
                *most = to_usize(size.value);
            }
        }
    }
    if let Some(required) = table.boolean("required") {
        options.required = required.value;
    }
    let bounds = [
        ("subscriptions_max", &mut options.subscriptions_max),
        ("subscriptions_per_user_max", &mut options.subscriptions_per_user_max),
    ];
    for (key, most) in bounds {
        if let Some(number) = table.number(key, 1..=100_000) {
            *most = to_usize(number.value);
        }
    }
    let hooks = table.tables("webhooks", "[[events.webhooks]]").into_iter();
    let webhooks = hooks.filter_map(|hook| webhook(hook, environment)).collect();
    let own = table.table("metadata_webhooks", "[events.metadata_webhooks]");
    let declared = own.map_or(MetadataWebhooks::Unsaid, |own| metadata_webhooks(own, environment));
    table.finish();
    (enabled.then_some(Events { options, webhooks }), declared)
}

/// Fewest bytes of a secret.
const SECRET_MIN: usize = 16;

/// One `[[events.webhooks]]`. `None` after a mistake, which has been reported.
fn webhook(table: Table<'_>, environment: &Environment) -> Option<EventWebhook> {
    let name = table.required("name").and_then(|name| check_name(&table, name));
    let address = table.required("url").and_then(|url| address(&table, url, environment));
    let user = table.required("as_user");
    let key = signing_key(&table, environment);
    let objects: Vec<String> = table.texts("objects").into_iter().map(|name| name.value).collect();
    let give_up = table.duration("give_up").map_or(DAY, |time| time.value);
    let private_addresses = table.boolean("private_addresses").is_some_and(|allowed| allowed.value);
    table.finish();
    Some(EventWebhook {
        name: name?.value,
        url: address?,
        secret: key?,
        user: user?.value,
        objects: (!objects.is_empty()).then_some(objects),
        give_up,
        private_addresses,
    })
}

/// How the webhooks of the metadata are sent. After a mistake, which has been reported, they are not.
fn metadata_webhooks(table: Table<'_>, environment: &Environment) -> MetadataWebhooks {
    if table.boolean("enabled").is_some_and(|on| !on.value) {
        // What else is said is for another day.
        for key in ["as_user", "secret"] {
            table.text(key);
        }
        table.duration("give_up");
        table.boolean("private_addresses");
        table.finish();
        return MetadataWebhooks::Declined;
    }
    let user = table.required("as_user");
    let key = signing_key(&table, environment);
    let give_up = table.duration("give_up").map_or(DAY, |time| time.value);
    let private_addresses = table.boolean("private_addresses").is_some_and(|allowed| allowed.value);
    table.finish();
    match (user, key) {
        (Some(user), Some(secret)) => {
            MetadataWebhooks::Sent(SentWebhooks { user: user.value, secret, give_up, private_addresses })
        }
        (_, _) => MetadataWebhooks::Unsaid,
    }
}

fn signing_key(table: &Table<'_>, environment: &Environment) -> Option<Secret> {
    let key = secret(table, "secret", environment);
    match &key {
        None => table.push(Diagnostic::error(Some(table.span.clone()), "a webhook needs a `secret`").help(
            "events are signed: give a secret as \"env:NAME\" or \"file:PATH\", and the same one to the receiver",
        )),
        Some(key) if key.expose().len() < SECRET_MIN => {
            table.error(table.span.clone(), format!("the `secret` of a webhook has at least {SECRET_MIN} bytes"));
        }
        Some(_) => {}
    }
    key
}

/// An address, or where it is kept: it may itself be a secret.
fn address(table: &Table<'_>, At { value, span }: At<String>, environment: &Environment) -> Option<Secret> {
    let is_address = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    let found = if is_address(&value) { Ok(Secret::plain(value)) } else { environment.secret(&value) };
    match found {
        Ok(url) if is_address(url.expose()) => Some(url),
        Ok(_) => {
            table.error(span, "`url` is neither http://… nor https://…");
            None
        }
        Err(message) => {
            table.error(span, format!("`url` is neither http://… nor a secret: {message}"));
            None
        }
    }
}
