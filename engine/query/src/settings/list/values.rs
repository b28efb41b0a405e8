//! What a setting accepts, and how it is shown then.

use super::{Kind, Setting, TEXT_BYTES_MAX};
use crate::books::checks::WHOLE;
use crate::settings::durations::{milliseconds, show_milliseconds};
use querygate_types::{Error, ErrorCode, Result, limits};

pub(super) fn accept(setting: &Setting, value: &str) -> Result<String> {
    let refuse = || {
        Error::new(
            ErrorCode::InvalidParameterValue,
            format!("invalid value for parameter \"{}\": \"{value}\"", setting.name),
        )
    };
    match setting.kind {
        Kind::Bool => boolean(value).map(|on| if on { "on" } else { "off" }.to_owned()).ok_or_else(refuse),
        Kind::Integer(least, most) => {
            let number: i64 = value.trim().parse().map_err(|_| refuse())?;
            if (least..=most).contains(&number) {
                Ok(number.to_string())
            } else {
                Err(refuse().with_detail(format!("The range is {least} to {most}.")))
            }
        }
        Kind::Milliseconds | Kind::NoMilliseconds => duration(setting, milliseconds(value).ok_or_else(refuse)?),
        Kind::Share => {
            let kept = share(value).map(|_| value.trim().to_owned());
            kept.ok_or_else(|| refuse().with_detail("It is a number from 0 to 1."))
        }
        Kind::Choice(["on"]) if setting.name == "row_security" => choose(setting, &["on"], value).ok_or_else(|| {
            refuse().with_hint("The gate's policies cannot be switched off; pg_dump has --enable-row-security.")
        }),
        Kind::Choice(choices) => choose(setting, choices, value)
            .ok_or_else(|| refuse().with_hint(format!("Available values: {}.", choices.join(", ")))),
        // What binds statements is kept with them.
        Kind::Text if value.len() > TEXT_BYTES_MAX => Err(refuse().with_detail("It is too long.")),
        Kind::Text => Ok(value.to_owned()),
        Kind::TimeZone => crate::settings::zone::accept(value).ok_or_else(refuse),
        Kind::DateStyle => date_style(value)
            .ok_or_else(|| refuse().with_hint("Output is always ISO, and 01/02/2020 is read month first.")),
        Kind::Utf8 => {
            if crate::sql::classify::is_utf8(value) {
                Ok("UTF8".to_owned())
            } else {
                Err(refuse().with_hint("This gate speaks UTF8 only."))
            }
        }
        Kind::Quantity(unit) => unit.read(value).map(|number| unit.show(number)).ok_or_else(refuse),
        Kind::Real => {
            let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(|_| value.trim().to_owned()).ok_or_else(refuse)
        }
        Kind::Same if value.trim().eq_ignore_ascii_case(setting.default) => Ok(setting.default.to_owned()),
        Kind::Same => {
            Err(refuse().with_hint(format!("Another value than \"{}\" would change answers.", setting.default)))
        }
        Kind::Superuser => {
            let text = format!("permission denied to set parameter \"{}\"", setting.name);
            Err(Error::new(ErrorCode::InsufficientPrivilege, text))
        }
        Kind::Fixed => Err(Error::new(
            ErrorCode::CantChangeRuntimeParam,
            format!("parameter \"{}\" cannot be changed", setting.name),
        )),
    }
}

fn duration(setting: &Setting, ms: u64) -> Result<String> {
    let name = setting.name;
    if matches!(setting.kind, Kind::NoMilliseconds) && ms > 0 {
        let text = format!("a value of parameter \"{name}\" other than 0 is not supported");
        return Err(Error::new(ErrorCode::FeatureNotSupported, text).with_hint(
            "statement_timeout bounds the whole statement with its waits; FOR UPDATE NOWAIT waits for no lock.",
        ));
    }
    if ms > limits::SETTING_MILLISECONDS_MAX {
        let most = limits::SETTING_MILLISECONDS_MAX;
        let text = format!("{ms} ms is outside the valid range for parameter \"{name}\" (0 .. {most})");
        return Err(Error::new(ErrorCode::InvalidParameterValue, text));
    }
    Ok(show_milliseconds(ms))
}

fn choose(setting: &Setting, choices: &[&str], value: &str) -> Option<String> {
    if let ["on" | "off"] = choices {
        return (boolean(value)? == (setting.default == "on")).then(|| setting.default.to_owned());
    }
    choices.iter().find(|c| c.eq_ignore_ascii_case(value.trim())).map(|c| (*c).to_owned())
}

fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// A number from 0 to 1 in parts of [`WHOLE`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million, and not negative")]
pub(super) fn share(value: &str) -> Option<u32> {
    let number: f64 = value.trim().parse().ok()?;
    (0.0..=1.0).contains(&number).then(|| (number * f64::from(WHOLE)).round() as u32)
}

/// Only ISO output, and only month first: another order would read the same text as another day.
fn date_style(value: &str) -> Option<String> {
    let known = |part: &str| matches!(part.trim().trim_matches('\'').to_uppercase().as_str(), "ISO" | "MDY" | "US");
    value.split(',').all(known).then(|| "ISO, MDY".to_owned())
}
