//! The login form and refusals. Proves nobody.

use super::html::{Html, classed, element, link, void};
use super::layout::{bare, button};

fn field(label: &str, attributes: &[(&'static str, &str)]) -> Html {
    element("label", &[], [classed("span", "", label), void("input", attributes)])
}

/// The form, with the name that was given and what was wrong.
pub(crate) fn form(user: &str, wrong: &str) -> String {
    let name = [
        ("name", "user"),
        ("value", user),
        ("autocomplete", "username"),
        ("maxlength", "200"),
        ("autofocus", ""),
        ("required", ""),
    ];
    let password =
        [("name", "password"), ("type", "password"), ("autocomplete", "current-password"), ("maxlength", "1024")];
    let wrong =
        if wrong.is_empty() { Html::default() } else { element("p", &[("class", "wrong"), ("role", "alert")], wrong) };
    let inside = [
        classed("p", "brand", "Querygate"),
        element("h1", &[], "Log in"),
        classed("p", "about", "With the name and password of the Postgres port. You see what they may see."),
        wrong,
        field("User", &name),
        field("Password", &password),
        button("primary", "Log in"),
    ];
    let form = element("form", &[("method", "post"), ("action", "/ui/login"), ("class", "card login")], inside);
    bare("Log in", form)
}

/// Something that a form may not do.
pub(crate) fn refused(why: &str) -> String {
    let back = link("/ui", "Back to the pages");
    let inside = [element("h1", &[], "Refused"), classed("p", "about", why), element("p", &[], back)];
    bare("Refused", classed("section", "card login", inside))
}
