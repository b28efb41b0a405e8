//! A `mysql` source's configuration as its driver wants it.

use crate::config::mysql::MysqlSource;
use crate::config::tls::Tls;
use querygate_driver_api::pool::Budget;
use querygate_mysql::{MysqlDriver, MysqlOptions, MysqlTls};

/// A driver that connects when it is first asked something. `writes`: whether it may be changed where it names who changes it.
pub(crate) fn driver(source: &MysqlSource, writes: bool, budget: &Budget) -> MysqlDriver {
    let mut options = MysqlOptions::new(&source.host, source.port, &source.user, &source.database);
    options.socket.clone_from(&source.socket);
    options.password = source.password.as_ref().map(|password| password.expose().to_owned());
    if let Some(writer) = source.writer.as_ref().filter(|_| writes) {
        let password = writer.password.as_ref().map(|password| password.expose().to_owned());
        options.writer = Some((writer.name.clone(), password));
        options.write_connections = usize::try_from(writer.pool_size).unwrap_or(1);
        options.distributed = writer.distributed;
    }
    options.tls = match source.tls {
        None if source.socket.is_some() => MysqlTls::Off,
        None => options.tls,
        Some(Tls::Off) => MysqlTls::Off,
        Some(Tls::Require) => MysqlTls::Required,
        Some(Tls::VerifyCa) => MysqlTls::VerifyCa,
        Some(Tls::VerifyFull) => MysqlTls::VerifyFull,
    };
    options.tls_ca.clone_from(&source.tls_ca);
    options.connections = usize::try_from(source.pool.size).unwrap_or(1);
    options.acquire_timeout = source.pool.acquire_timeout;
    options.connect_timeout = source.pool.connect_timeout;
    options.budget = budget.clone();
    MysqlDriver::new(&options)
}
