//! A `postgres` source's configuration as its driver wants it.

use crate::config::postgres::PostgresSource;
use crate::config::tls::Tls;
use querygate_driver_api::pool::Budget;
use querygate_postgres::{PostgresDriver, PostgresOptions, PostgresTls};
use querygate_types::Result;

/// A driver that connects when it is first asked something. `name` is what errors call the source; `writes`: whether it may be
/// changed where it names who changes it.
///
/// # Errors
/// A file of certificates that cannot be used.
pub(crate) fn driver(name: &str, source: &PostgresSource, writes: bool, budget: &Budget) -> Result<PostgresDriver> {
    let mut options = PostgresOptions::new(name, &source.host, &source.user, &source.database);
    options.port = source.port;
    options.password = source.password.as_ref().map(|password| password.expose().to_owned());
    options.advisor = source
        .advisor
        .as_ref()
        .map(|(user, password)| (user.clone(), password.as_ref().map(|password| password.expose().to_owned())));
    if let Some(writer) = source.writer.as_ref().filter(|_| writes) {
        let password = writer.password.as_ref().map(|password| password.expose().to_owned());
        options.writer = Some((writer.name.clone(), password));
        options.write_pool_size = usize::try_from(writer.pool_size).unwrap_or(1);
        options.distributed = writer.distributed;
    }
    options.tls = match source.tls {
        Tls::Off => PostgresTls::Off,
        Tls::Require => PostgresTls::Unverified,
        Tls::VerifyCa => PostgresTls::VerifyCa(source.tls_ca.clone()),
        Tls::VerifyFull => PostgresTls::VerifyFull(source.tls_ca.clone()),
    };
    options.pool_size = usize::try_from(source.pool.size).unwrap_or(1);
    options.acquire_timeout = source.pool.acquire_timeout;
    options.connect_timeout = source.pool.connect_timeout;
    options.budget = budget.clone();
    PostgresDriver::new(&options)
}
