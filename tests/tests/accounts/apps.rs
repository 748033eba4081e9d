//! Connected apps.

use e2e::admin::Admin;
use e2e::client::{decode, text};
use e2e::house::{House, Store};
use e2e::page::{Form, Page};
use e2e::session::Session;

use crate::person::{AtHome, let_minutes_pass};

e2e::on_both_stores!(a_person_sees_narrows_extends_and_ends_what_they_allowed);

/// The form of one app.
fn app<'a>(page: &'a Page, grant: &str) -> &'a Form {
    let is = |form: &&Form| form.field("grant").is_some_and(|field| field.value == grant);
    page.forms.iter().find(is).unwrap_or_else(|| panic!("{grant} is not on {page:#?}"))
}

async fn press(home: &AtHome, form: &Form, action: &str) -> Page {
    home.visitor.post(&form.action, &form.filled(&[], &[], ("action", action))).await.page()
}

fn offers(form: &Form, action: &str) -> bool {
    form.fields.iter().any(|field| field.name == "action" && field.value == action)
}

async fn a_person_sees_narrows_extends_and_ends_what_they_allowed(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["destroy"]).await;
    let grant = text(&decode(&session.tokens.access).1["sid"]);
    session.refresh().await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let page = home.page("/account/apps").await;
    assert_eq!(page.kind, "account-apps");
    for words in
        ["One app is connected", "End-to-end client", "Unverified", "Artifacts", "Last used just now"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    // Nobody else sees or ends it.
    let bob = house.user("bob@example.test");
    let bobs = AtHome::sign_in(&house, &bob).await;
    let empty = bobs.page("/account/apps").await;
    assert!(empty.text.contains("No app is connected"), "{}", empty.text);
    let tag = empty.forms[0].field("csrf").map(|field| field.value.clone()).unwrap_or_default();
    let overview = bobs.page("/account/sessions").await;
    let tag = overview.forms[0].field("csrf").map_or(tag, |field| field.value.clone());
    let fields = [("csrf", tag.as_str()), ("grant", &grant), ("action", "revoke")];
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let refused = bobs.visitor.post(&app(&page, &grant).action, &fields).await.page();
    assert_eq!(refused.answer.status, 409, "{refused:#?}");
    session.refresh().await;

    // Less: the token from before is refused, the next one says less.
    let form = app(&page, &grant);
    assert!(offers(form, "narrow read") && offers(form, "narrow write") && !offers(form, "narrow destroy"));
    let page = press(&home, form, "narrow read").await;
    assert!(page.text.contains("It may do less from now on"), "{}", page.text);
    assert!(!offers(app(&page, &grant), "narrow read"), "there is no less");
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);

    // Longer: only after a fresh sign-in, and no further than is offered.
    house.alter("update grants set expires_at = created_at + 86400");
    let_minutes_pass(&house, 6);
    let stale = home.page("/account/apps").await;
    assert!(!offers(app(&stale, &grant), "extend"), "{stale:#?}");
    let again = AtHome::sign_in(&house, house.alice()).await;
    let page = again.page("/account/apps").await;
    let form = app(&page, &grant);
    let fields = form.filled(&[("until", "90d")], &[], ("action", "extend"));
    let page = again.visitor.post(&form.action, &fields).await.page();
    assert!(page.text.contains("The access goes on for longer"), "{}", page.text);
    session.refresh().await;
    let page = press(&again, app(&page, &grant), "revoke").await;
    assert!(
        page.text.contains("The access is ended") && page.text.contains("No app is connected"),
        "{}",
        page.text
    );
    assert_eq!(session.client.refresh(&session.tokens.refresh).await.status, 400);

    let audit = Admin::with(&house, &["audit:read", "grants:read"]);
    for action in ["grant_narrowed", "grant_extended", "grant_revoked"] {
        let lines = audit.all(&format!("/audit?action={action}&object={grant}"), 50).await;
        assert_eq!((lines.len(), text(&lines[0]["actor_kind"])), (1, "user".to_owned()), "{action}");
    }
    let shown = audit.get(&format!("/grants/{grant}")).await.expect(200);
    assert!(shown.to_string().contains("revoked_by_person"), "{shown:#}");
}
