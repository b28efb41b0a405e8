//! `querygate demo --writes`: the CRM database may be changed, of which the metadata opens the opportunities. Changes nothing itself.

use crate::config::{Config, SourceKind};

/// What to try, printed after the guide.
pub(crate) const GUIDE: &str = "
The gate takes changes of opportunities. As sam:

  UPDATE opportunities SET stage = 'lost' WHERE stage = 'negotiation' RETURNING id, name, stage;   -- his own alone
  UPDATE opportunities SET stage = 'proposal' WHERE stage = 'lost';                                -- a rule says no
  UPDATE opportunities SET owner_id = 'usr_ada' WHERE stage = 'proposal';                          -- not his to give

Two hooks of the metadata (hooks.json) run at these changes, through every door: one fills the probability of a stage, one refuses.

  UPDATE opportunities SET stage = 'won' WHERE stage = 'negotiation' RETURNING id, stage, probability;   -- 100, by a script
  UPDATE opportunities SET amount = 1 WHERE stage = 'negotiation';                                       -- a script says no
";

/// Lets changes of the CRM database through, whatever the file says.
pub(crate) fn enable(config: &mut Config) {
    config.writes = true;
    for source in config.sources.iter_mut().filter(|source| source.name == "crm") {
        match &mut source.kind {
            SourceKind::Sqlite { writes, .. } => *writes = true,
            SourceKind::Memory { .. }
            | SourceKind::Files { .. }
            | SourceKind::Postgres(_)
            | SourceKind::Mysql(_)
            | SourceKind::Mongodb(_)
            | SourceKind::Native(_) => {}
        }
    }
}
