//! `[learning]`: where telemetry is kept, for how long, and where alerts go. Opens nothing.

use super::sources::secret;
use super::syntax::diagnostic::Diagnostic;
use super::syntax::secret::{Environment, Secret};
use super::syntax::table::{At, Table};
use super::{Config, Learning, Otlp, Webhook};
use querygate_learning::{OtlpOptions, OtlpProtocol, WebhookOptions};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(86_400);

/// Reads `[learning]`; without it, or with `enabled = false`, the gate does not learn.
pub(super) fn resolve(table: Option<Table<'_>>, environment: &Environment) -> Option<Learning> {
    let table = table?;
    let enabled = table.boolean("enabled").is_none_or(|on| on.value);
    let directory = table.text("directory").map_or_else(|| "learning".to_owned(), |path| path.value);
    let retention = table.duration("retention");
    let size_max = table.bytes("size_max");
    let alerts = table.number("alerts_per_day", 0..=100_000);
    let webhook = webhook(&table, environment);
    let otlp = otlp(&table, environment);
    let apply_indexes = table.boolean("apply_indexes").is_some_and(|on| on.value);
    let suggest_every = table.duration("suggest_every").map_or(Duration::from_secs(120), |time| time.value);
    let index_budget = table.bytes("index_budget").map_or(1_024 * MIB, |size| size.value);
    if let Some(short) = retention.as_ref().filter(|time| time.value < Duration::from_secs(3_600)) {
        table.error(short.span.clone(), "`retention` must be at least an hour");
    }
    if let Some(small) = size_max.as_ref().filter(|size| size.value < 16 * MIB) {
        table.error(small.span.clone(), "`size_max` must be at least 16MB");
    }
    table.finish();
    enabled.then(|| Learning {
        directory: Config::resolve_path(environment.folder(), &directory),
        retention: retention.map_or(30 * DAY, |time| time.value),
        size_max: size_max.map_or(512 * MIB, |size| size.value),
        alerts_per_day: alerts.map_or(20, |n| u32::try_from(n.value).unwrap_or(u32::MAX)),
        webhook,
        otlp,
        apply_indexes,
        suggest_every,
        index_budget,
    })
}

/// The address may itself be a secret: chat services put their key into it.
fn webhook(table: &Table<'_>, environment: &Environment) -> Option<Webhook> {
    let given = table.text("webhook");
    let key = secret(table, "webhook_secret", environment);
    let At { value, span } = given?;
    let Some(secret) = key else {
        table.push(Diagnostic::error(Some(span), "`webhook` needs `webhook_secret`").help(
            "alerts are signed: give a secret as \"env:NAME\" or \"file:PATH\", and the same one to the receiver",
        ));
        return None;
    };
    let url = match address(value, environment) {
        Ok(url) => url,
        Err(message) => {
            table.error(span, format!("`webhook` is neither http://… nor a secret: {message}"));
            return None;
        }
    };
    if let Err(error) = WebhookOptions::new(url.expose(), secret.expose().as_bytes()) {
        table.error(span, format!("`webhook`: {}", error.message()));
        return None;
    }
    Some(Webhook { url, secret })
}

/// A collector of OpenTelemetry.
fn otlp(table: &Table<'_>, environment: &Environment) -> Option<Otlp> {
    let given = table.text("otlp");
    let authorization = secret(table, "otlp_authorization", environment);
    let protocol = protocol(table);
    let At { value, span } = given?;
    let url = match address(value, environment) {
        Ok(url) => url,
        Err(message) => {
            table.error(span, format!("`otlp` is neither http://… nor a secret: {message}"));
            return None;
        }
    };
    let known = authorization.as_ref().map(Secret::expose);
    if let Err(error) = OtlpOptions::new(url.expose(), protocol, known) {
        table.error(span, format!("`otlp`: {}", error.message()));
        return None;
    }
    Some(Otlp { url, protocol, authorization })
}

fn protocol(table: &Table<'_>) -> OtlpProtocol {
    let Some(At { value, span }) = table.text("otlp_protocol") else { return OtlpProtocol::default() };
    match value.as_str() {
        "http" => OtlpProtocol::Http,
        "grpc" => OtlpProtocol::Grpc,
        _ => {
            table.error(span, "`otlp_protocol` is neither \"http\" nor \"grpc\"");
            OtlpProtocol::default()
        }
    }
}

/// An address, or where it is kept.
fn address(value: String, environment: &Environment) -> Result<Secret, String> {
    if value.starts_with("http://") || value.starts_with("https://") {
        return Ok(Secret::plain(value));
    }
    environment.secret(&value)
}
