//! The table of routes. What is not in it is not there, and what is in it is guarded.

use std::sync::LazyLock;

use super::{
    access, admin_keys, api_keys, audit, clients, entitlements, grants, identities, openapi, organizations,
    passkeys, resources,
    route::{
        Method::{Delete, Get, Patch, Post},
        Route,
    },
    sessions, signing_keys, status, users,
};
use crate::domain::admin_key::{
    Need,
    Noun::{
        AdminKeys, ApiKeys, Audit, Clients, Entitlements, Grants, Keys, Organizations, Resources, Sessions,
        Status, Users,
    },
    Verb::{Read, Write},
};

/// Every route.
pub(super) fn routes() -> &'static [Route] {
    static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(all);
    &ROUTES
}

#[rustfmt::skip]
fn all() -> Vec<Route> {
    vec![
        Route::new((Get, "/openapi.json"), "openapi", None, "Describe this API.", openapi::get),
        Route::new((Get, "/status"), "get_status", Need(Status, Read), "Say how the server is doing.", status::get),


        Route::new((Get, "/grants"), "list_grants", Need(Grants, Read), "List grants, newest first.", grants::list),
        Route::new((Get, "/grants/{id}"), "get_grant", Need(Grants, Read), "Show one grant.", grants::show),
        Route::new((Patch, "/grants/{id}"), "narrow_grant", Need(Grants, Write), "Make a grant smaller or shorter. Access tokens from before are revoked.", grants::narrow).conflicts(),
        Route::new((Delete, "/grants/{id}"), "revoke_grant", Need(Grants, Write), "Revoke a grant and every token of it.", grants::revoke),
        Route::new((Post, "/grants/revoke"), "revoke_grants", Need(Grants, Write), "Revoke all grants of a person, a client, a resource server, an organization, or of everybody.", grants::sweep).fresh(),

        Route::new((Get, "/users"), "list_users", Need(Users, Read), "List accounts.", users::list),
        Route::new((Post, "/users"), "create_user", Need(Users, Write), "Make an account.", users::create).fresh().conflicts(),
        Route::new((Post, "/users/invite"), "invite_user", Need(Users, Write), "Make a one-time link of which an account comes.", users::invite).fresh().conflicts(),
        Route::new((Get, "/users/{id}"), "get_user", Need(Users, Read), "Show one account.", users::show),
        Route::new((Patch, "/users/{id}"), "set_user_groups", Need(Users, Write), "Say which groups a person is in.", users::change).fresh().conflicts(),
        Route::new((Post, "/users/{id}/reset"), "reset_user", Need(Users, Write), "Make a one-time link with which the person chooses another password. For an administrator a key needs the permission `*`.", users::reset).fresh().conflicts(),
        Route::new((Delete, "/users/{id}/second-factor"), "forget_second_factor", Need(Users, Write), "Take the second factor of a person away. For an administrator a key needs the permission `*`.", users::forget_second_factor).fresh(),
        Route::new((Get, "/users/{id}/passkeys"), "list_passkeys", Need(Users, Read), "List the passkeys of a person, oldest first.", passkeys::list),
        Route::new((Delete, "/passkeys/{id}"), "remove_passkey", Need(Users, Write), "Remove a passkey, so that nobody signs in with it any more.", passkeys::remove).fresh(),
        Route::new((Delete, "/users/{id}/sessions"), "end_sessions", Need(Sessions, Write), "Sign a person out of every browser. What applications were allowed goes on.", users::end_sessions),
        Route::new((Post, "/users/{id}/disable"), "disable_user", Need(Users, Write), "Disable an account: its sessions and grants end.", users::disable).fresh(),
        Route::new((Post, "/users/{id}/enable"), "enable_user", Need(Users, Write), "Enable a disabled account. Nothing that ended comes back.", users::enable).fresh(),

        Route::new((Get, "/identities"), "list_identities", Need(Users, Read), "List a person's accounts at upstream providers.", identities::list),
        Route::new((Delete, "/identities/{id}"), "unlink_identity", Need(Users, Write), "Take the link to an account at an upstream provider away: what came of signing in there ends.", identities::unlink),

        Route::new((Get, "/sessions"), "list_sessions", Need(Sessions, Read), "List the browsers in which people are signed in.", sessions::list),
        Route::new((Delete, "/sessions/{id}"), "end_session", Need(Sessions, Write), "Sign a browser out.", sessions::end),

        Route::new((Get, "/api-keys"), "list_api_keys", Need(ApiKeys, Read), "List the API keys of people, newest first.", api_keys::list),
        Route::new((Post, "/api-keys"), "create_api_key", Need(ApiKeys, Write), "Make an API key for a person.", api_keys::create).fresh().conflicts(),
        Route::new((Get, "/api-keys/{id}"), "get_api_key", Need(ApiKeys, Read), "Show one API key.", api_keys::show),
        Route::new((Delete, "/api-keys/{id}"), "revoke_api_key", Need(ApiKeys, Write), "Revoke an API key for good.", api_keys::revoke),

        Route::new((Get, "/clients"), "list_clients", Need(Clients, Read), "List clients, those that registered themselves included.", clients::list),
        Route::new((Post, "/clients"), "create_client", Need(Clients, Write), "Register a client.", clients::create).conflicts(),
        Route::new((Get, "/clients/{id}"), "get_client", Need(Clients, Read), "Show one client.", clients::show),
        Route::new((Patch, "/clients/{id}"), "change_client", Need(Clients, Write), "Change a client: its name, its addresses or its bounds. Its grants go on; where less is left, access tokens from before are revoked.", clients::change).fresh().conflicts(),
        Route::new((Delete, "/clients/{id}"), "delete_client", Need(Clients, Write), "Remove a client: its grants end.", clients::delete).fresh().conflicts(),
        Route::new((Post, "/clients/{id}/secret"), "rotate_client_secret", Need(Clients, Write), "Give a confidential client another secret. The one it has stays good until it is retired.", clients::rotate_secret).fresh().conflicts(),
        Route::new((Delete, "/clients/{id}/former-secret"), "retire_client_secret", Need(Clients, Write), "Make the secret before the last one good for nothing.", clients::retire_secret).conflicts(),
        Route::new((Post, "/clients/{id}/disable"), "disable_client", Need(Clients, Write), "Disable a client: its grants end.", clients::disable),
        Route::new((Post, "/clients/{id}/enable"), "enable_client", Need(Clients, Write), "Enable a disabled client. Nothing that ended comes back.", clients::enable),

        Route::new((Get, "/resources"), "list_resources", Need(Resources, Read), "List resource servers.", resources::list),
        Route::new((Post, "/resources"), "add_resource", Need(Resources, Write), "Register a resource server.", resources::add).conflicts(),
        Route::new((Get, "/resources/{id}"), "get_resource", Need(Resources, Read), "Show one resource server.", resources::show),
        Route::new((Patch, "/resources/{id}"), "change_resource", Need(Resources, Write), "Say whom a resource server is for.", resources::change).fresh(),
        Route::new((Delete, "/resources/{id}"), "remove_resource", Need(Resources, Write), "Remove a resource server: grants for it end.", resources::remove).fresh().conflicts(),
        Route::new((Post, "/resources/{id}/secret"), "rotate_resource_secret", Need(Resources, Write), "Give a resource server another secret. The one it has stays good until it is retired.", resources::rotate_secret).fresh().conflicts(),
        Route::new((Delete, "/resources/{id}/former-secret"), "retire_resource_secret", Need(Resources, Write), "Make the secret before the last one of a resource server good for nothing.", resources::retire_secret).conflicts(),
        Route::new((Post, "/resources/{id}/disable"), "disable_resource", Need(Resources, Write), "Disable a resource server: grants for it end.", resources::disable),
        Route::new((Post, "/resources/{id}/enable"), "enable_resource", Need(Resources, Write), "Enable a disabled resource server. Nothing that ended comes back.", resources::enable),

        Route::new((Get, "/organizations"), "list_organizations", Need(Organizations, Read), "List the organizations that people share, by name.", organizations::list),
        Route::new((Post, "/organizations"), "create_organization", Need(Organizations, Write), "Make an organization.", organizations::create).conflicts(),
        Route::new((Get, "/organizations/{id}/nodes"), "list_nodes", Need(Organizations, Read), "List the nodes of an organization, by path.", organizations::nodes),
        Route::new((Post, "/organizations/{id}/nodes"), "add_node", Need(Organizations, Write), "Make a node, and those above it that are not there yet.", organizations::add_node).conflicts(),
        Route::new((Post, "/organizations/{id}/nodes/remove"), "remove_node", Need(Organizations, Write), "Remove a node and everything below it.", organizations::remove_node).fresh().conflicts(),

        Route::new((Get, "/entitlements"), "list_entitlements", Need(Entitlements, Read), "List the rules that say who may do what where, oldest first.", entitlements::list),
        Route::new((Post, "/entitlements"), "add_entitlement", Need(Entitlements, Write), "Add a rule. The first one for a resource server makes it for listed people only.", entitlements::add).fresh().conflicts(),
        Route::new((Get, "/entitlements/{id}"), "get_entitlement", Need(Entitlements, Read), "Show one rule.", entitlements::show),
        Route::new((Delete, "/entitlements/{id}"), "remove_entitlement", Need(Entitlements, Write), "Remove a rule. What it allowed is gone from the next refresh on.", entitlements::remove),
        Route::new((Post, "/entitlements/{id}/disable"), "disable_entitlement", Need(Entitlements, Write), "Disable a rule, so that it allows nothing.", entitlements::disable),
        Route::new((Post, "/entitlements/{id}/enable"), "enable_entitlement", Need(Entitlements, Write), "Enable a disabled rule again.", entitlements::enable).fresh(),



        Route::new((Get, "/access"), "preview_access", Need(Entitlements, Read), "Say what a person would get at a resource server, place by place, and why not more.", access::preview),
        Route::new((Get, "/mappings"), "export_mapping", Need(Entitlements, Read), "Give the group rules in force as a document in the form of the mcp_scopes collection.", access::export),
        Route::new((Post, "/mappings"), "import_mapping", Need(Entitlements, Write), "Say what a document of group rules would change for whom; carry it out if asked to.", access::import).fresh().conflicts(),

        Route::new((Get, "/keys"), "list_keys", Need(Keys, Read), "List signing keys, oldest first.", signing_keys::list),
        Route::new((Post, "/keys/rotate"), "rotate_keys", Need(Keys, Write), "Let the next signing key sign from now on.", signing_keys::rotate).fresh().conflicts(),
        Route::new((Post, "/keys/{id}/revoke"), "revoke_key", Need(Keys, Write), "Declare a signing key bad: every token of it is refused.", signing_keys::revoke).fresh().conflicts(),

        Route::new((Get, "/audit"), "list_audit_events", Need(Audit, Read), "List what was done, newest first.", audit::list),
        Route::new((Get, "/audit/verify"), "verify_audit_trail", Need(Audit, Read), "Check the chain of the audit trail and its checkpoints.", audit::verify),

        Route::new((Get, "/admin-keys"), "list_admin_keys", Need(AdminKeys, Read), "List the keys for this API, newest first.", admin_keys::list),
        Route::new((Post, "/admin-keys"), "create_admin_key", Need(AdminKeys, Write), "Make a key for this API.", admin_keys::create).fresh(),
        Route::new((Delete, "/admin-keys/{id}"), "revoke_admin_key", Need(AdminKeys, Write), "Revoke a key for this API, and those that were made with it.", admin_keys::revoke).fresh(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::admin::route::SignIn;

    #[test]
    fn every_route_has_a_place_and_a_name_of_its_own() {
        let places: BTreeSet<_> = routes().iter().map(|route| (route.path, route.method)).collect();
        let names: BTreeSet<_> = routes().iter().map(|route| route.name).collect();
        assert_eq!((places.len(), names.len()), (routes().len(), routes().len()));
        // A fixed part stands before a parameter in its place, since the first match answers.
        for route in routes() {
            assert!(!route.path.ends_with('/'), "{route:?}");
        }
    }

    #[test]
    fn every_change_needs_leave_to_write_and_every_look_leave_to_read() {
        for route in routes().iter().filter(|route| route.name != "openapi") {
            let verb = if route.method == Get { Read } else { Write };
            assert_eq!(route.need.map(|need| need.1), Some(verb), "{route:?}");
            assert!(verb == Write || route.sign_in == SignIn::Any, "{route:?}");
        }
    }
}
