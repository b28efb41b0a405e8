//! A `mongodb` source's configuration as its driver wants it.

use crate::config::mongodb::MongoSource;
use crate::config::tls::Tls;
use querygate_driver_api::pool::Budget;
use querygate_mongodb::{MongoDriver, MongoOptions, MongoTls};

/// A driver that connects when it is first asked something. `writes`: whether it may be changed where it names who changes it.
pub(crate) fn driver(source: &MongoSource, writes: bool, budget: &Budget) -> MongoDriver {
    let mut options = MongoOptions::new(source.address.expose(), &source.database);
    options.user.clone_from(&source.user);
    options.password = source.password.as_ref().map(|password| password.expose().to_owned());
    if let Some(writer) = source.writer.as_ref().filter(|_| writes) {
        let password = writer.password.as_ref().map(|password| password.expose().to_owned());
        options.writer = Some((writer.name.clone(), password));
        options.write_connections = usize::try_from(writer.pool_size).unwrap_or(1);
        options.distributed = writer.distributed;
    }
    options.tls = source.tls.map(|tls| match tls {
        Tls::Off => MongoTls::Off,
        Tls::Require => MongoTls::Required,
        Tls::VerifyCa | Tls::VerifyFull => MongoTls::Verify,
    });
    options.tls_ca.clone_from(&source.tls_ca);
    options.connections = usize::try_from(source.pool.size).unwrap_or(1);
    options.acquire_timeout = source.pool.acquire_timeout;
    options.connect_timeout = source.pool.connect_timeout;
    options.budget = budget.clone();
    MongoDriver::new(&options)
}
