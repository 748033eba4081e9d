//! Password and sessions.

use e2e::admin::Admin;
use e2e::house::{House, Plan, Store};

use crate::person::{AtHome, let_minutes_pass, with_password};

e2e::on_both_stores!(
    a_person_sees_where_they_are_signed_in_and_ends_it,
    a_new_password_ends_the_other_sessions_and_the_old_password,
);

async fn house(store: Store) -> House {
    House::build(Plan::on(store).without_artifacts()).await
}

async fn a_person_sees_where_they_are_signed_in_and_ends_it(store: Store) {
    let house = house(store).await;
    let bob = house.user("bob@example.test");
    let here = AtHome::sign_in(&house, house.alice()).await;
    let there = AtHome::sign_in(&house, house.alice()).await;
    let third = AtHome::sign_in(&house, house.alice()).await;
    let bobs = AtHome::sign_in(&house, &bob).await;

    let overview = here.page("/account").await;
    assert_eq!(overview.kind, "account");
    assert!(
        overview.text.contains("alice@example.test") && overview.text.contains("3 browsers"),
        "{overview:#?}"
    );
    let page = here.page("/account/sessions").await;
    assert_eq!(page.kind, "account-sessions");
    assert!(page.text.contains("You are signed in 3 times"), "{}", page.text);
    assert!(page.text.contains("127.0.0.1") || page.text.contains("::1"), "{}", page.text);
    let buttons = |page: &e2e::page::Page| {
        let fields = page.forms.iter().flat_map(|form| &form.fields);
        let ends = fields.filter(|field| field.name == "end" && field.value != "others");
        ends.map(|field| field.value.clone()).collect::<Vec<_>>()
    };
    let others = buttons(&page);
    assert_eq!(others.len(), 2, "the present one is ended by signing out");

    // Nobody ends a session of somebody else, not even by its name.
    let of_bob = bobs.page("/account/sessions").await;
    assert!(buttons(&of_bob).is_empty(), "{of_bob:#?}");
    let mut fields =
        of_bob.forms[0].fields.iter().map(|f| (f.name.clone(), f.value.clone())).collect::<Vec<_>>();
    fields.retain(|(name, _)| name == "csrf");
    fields.push(("end".to_owned(), others[0].clone()));
    let answer = bobs.visitor.post(&of_bob.forms[0].action, &fields).await.page();
    assert!(answer.text.contains("That session was over already"), "{}", answer.text);
    assert_eq!(buttons(&here.page("/account/sessions").await).len(), 2);

    let page = here.press(&page, &[], ("end", &others[0])).await;
    assert!(page.text.contains("That session is ended"), "{}", page.text);
    let page = here.press(&page, &[], ("end", "others")).await;
    assert!(page.text.contains("All your other sessions are ended"), "{}", page.text);
    assert!(page.text.contains("You are signed in here only"), "{}", page.text);
    for ended in [&there, &third] {
        assert_eq!(ended.page("/account").await.kind, "login");
    }
    assert_eq!(bobs.page("/account").await.kind, "account");

    let audit = Admin::with(&house, &["audit:read"]);
    assert_eq!(audit.all("/audit?action=session_ended", 50).await.len(), 1);
    let swept = audit.all("/audit?action=other_sessions_ended", 50).await;
    assert_eq!(swept.len(), 1);
    assert_eq!(swept[0]["detail"]["sessions"], 1);
}

async fn a_new_password_ends_the_other_sessions_and_the_old_password(store: Store) {
    let house = house(store).await;
    let alice = house.alice().clone();
    let here = AtHome::sign_in(&house, &alice).await;
    let there = AtHome::sign_in(&house, &alice).await;
    let form = here.page("/account/password").await;
    let current = form.forms.iter().find_map(|form| form.field("current"));
    assert!(current.is_none(), "right after the sign-in the password is not asked again");
    let page = here.press(&form, &[("password", "short")], ("action", "change")).await;
    assert_eq!(page.answer.status, 422);
    assert!(page.text.contains("A password has at least 8 characters."), "{}", page.text);

    let_minutes_pass(&house, 6);
    let form = here.page("/account/password").await;
    let new = e2e::fresh();
    let wrong = [("current", "not the password"), ("password", new.as_str())];
    let page = here.press(&form, &wrong, ("action", "change")).await;
    assert_eq!(page.answer.status, 401);
    assert!(page.text.contains("The present password is wrong"), "{}", page.text);
    assert_eq!(there.page("/account").await.kind, "account");
    let right = [("current", alice.password.as_str()), ("password", new.as_str())];
    let page = here.press(&form, &right, ("action", "change")).await;
    assert!(page.text.contains("The password is changed"), "{}", page.text);

    assert_eq!(here.page("/account").await.kind, "account");
    assert_eq!(there.page("/account").await.kind, "login");
    let stranger = AtHome::stranger(&house);
    let login = stranger.page("/login").await;
    let refused = stranger.visitor.sign_in(&login, &alice).await.page();
    assert_eq!((refused.answer.status, refused.kind.as_str()), (401, "login"));
    AtHome::sign_in(&house, &with_password(&alice, &new)).await;

    let audit = Admin::with(&house, &["audit:read"]);
    let lines = audit.all("/audit?action=password_changed", 50).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["detail"]["sessions"], 1);
    assert!(!house.logs().contains(&new));
}

#[tokio::test]
async fn whoever_is_not_signed_in_proves_who_they_are_and_comes_back_to_the_page() {
    let house = house(Store::Sqlite).await;
    let person = AtHome::stranger(&house);
    let login = person.page("/account/password").await;
    assert_eq!(login.kind, "login");
    let page = person.visitor.sign_in(&login, house.alice()).await.page();
    assert_eq!(page.kind, "account-password", "{page:#?}");
    // Whatever else somebody writes there leads to no other place.
    let login = AtHome::stranger(&house);
    let page = login.page("/login?then=https://evil.test/").await;
    let page = login.visitor.sign_in(&page, house.alice()).await.page();
    assert_eq!(page.kind, "home", "{page:#?}");
}
