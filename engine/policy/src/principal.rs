//! Resolves an authenticated login to what it holds: positions, permission sets, posture. Proves no identity.

use crate::compiled::{ADMIN_FULL_ACCESS, CompiledPolicy, ORGANIZATION_ADMIN};
use querygate_metadata::model::Facts;
use querygate_types::principal::{Posture, Principal};

/// The position of every signed-in user.
const EVERYONE: &str = "everyone";
/// The position that is held only inside an organization.
const ORG_MEMBER: &str = "org_member";
/// The position of a platform administrator.
const PLATFORM_ADMIN: &str = "platform_admin";

/// Adds to an authenticated principal (login, user id, organization, and the positions, sets and attributes its login
/// was configured with) what it holds by facts and by rule: memberships that hold at `now_ms`, `everyone`, the sets
/// bound to its positions or named like them, `member_default` and every default set; and its posture.
///
/// A membership scoped to an organization counts while that organization is the active one.
#[must_use]
pub fn resolve_principal(mut principal: Principal, policy: &CompiledPolicy, facts: &Facts, now_ms: i64) -> Principal {
    let user = principal.user_id.clone();
    principal.email = principal.email.or_else(|| facts.users.get(&user).and_then(|u| u.email.clone()));
    principal.organization_ids.extend(facts.user_organizations.get(&user).into_iter().flatten().cloned());
    principal.organization_ids.extend(principal.organization_id.clone());
    let active = principal.organization_id.clone();
    principal.org_user_ids.insert(user.clone());
    if let Some(active) = &active {
        let colleagues = facts.user_organizations.iter().filter(|(_, organizations)| organizations.contains(active));
        principal.org_user_ids.extend(colleagues.map(|(user, _)| user.clone()));
        let configured = facts.configured_members.get(active).filter(|members| members.contains(&user));
        principal.org_user_ids.extend(configured.into_iter().flatten().cloned());
        principal.positions.insert(ORG_MEMBER.to_owned());
    }
    let in_scope = |organization: &Option<String>| organization.is_none() || *organization == active;

    let held = facts.user_positions.get(&user).into_iter().flatten();
    let held = held.filter(|p| p.tenure.holds(now_ms) && in_scope(&p.organization_id));
    principal.positions.extend(held.map(|p| p.position.clone()));
    principal.positions.insert(EVERYONE.to_owned());

    let granted: Vec<_> = facts.user_sets.get(&user).into_iter().flatten().filter(|g| g.tenure.holds(now_ms)).collect();
    let unscoped_admin = principal.permission_sets.contains(ADMIN_FULL_ACCESS)
        || granted.iter().any(|g| g.organization_id.is_none() && g.permission_set == ADMIN_FULL_ACCESS);
    let granted = granted.into_iter().filter(|g| in_scope(&g.organization_id));
    principal.permission_sets.extend(granted.map(|g| g.permission_set.clone()));

    if unscoped_admin && principal.posture != Posture::External {
        principal.positions.insert(PLATFORM_ADMIN.to_owned());
    }
    for position in &principal.positions {
        principal.permission_sets.extend(facts.position_sets.get(position).into_iter().flatten().cloned());
        if policy.permission_set(position).is_some() {
            principal.permission_sets.insert(position.clone());
        }
    }
    principal.permission_sets.extend(policy.default_sets().map(str::to_owned));
    principal.posture = match principal.posture {
        Posture::External => Posture::External,
        _ if unscoped_admin => Posture::PlatformAdmin,
        Posture::PlatformAdmin | Posture::TenantAdmin | Posture::Member
            if principal.permission_sets.contains(ORGANIZATION_ADMIN) =>
        {
            Posture::TenantAdmin
        }
        Posture::PlatformAdmin | Posture::TenantAdmin | Posture::Member => Posture::Member,
    };
    principal
}
