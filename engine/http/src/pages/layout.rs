//! What every page has around it: head, navigation, who is logged in; and small parts that pages share. Reads nothing.

use super::auth::Seat;
use super::html::{Html, classed, document, element, link, void};
use super::sql::closed_up;
use querygate_web::ICON_PATH;

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Plans,
    Indexes,
    Anomalies,
    Sources,
}

impl Place {
    const ALL: [Self; 5] = [Self::Overview, Self::Plans, Self::Indexes, Self::Anomalies, Self::Sources];

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/ui",
            Self::Plans => "/ui/plans",
            Self::Indexes => "/ui/indexes",
            Self::Anomalies => "/ui/anomalies",
            Self::Sources => "/ui/sources",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Queries",
            Self::Plans => "Plan advisor",
            Self::Indexes => "Index advice",
            Self::Anomalies => "Anomalies",
            Self::Sources => "Sources",
        }
    }
}

fn head(title: &str) -> Html {
    let title = format!("{title} · Querygate");
    element(
        "head",
        &[],
        [
            void("meta", &[("charset", "utf-8")]),
            void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]),
            void("meta", &[("name", "color-scheme"), ("content", "light dark")]),
            element("title", &[], title),
            void("link", &[("rel", "icon"), ("type", "image/svg+xml"), ("href", ICON_PATH)]),
            void("link", &[("rel", "stylesheet"), ("href", "/ui/style.css")]),
        ],
    )
}

/// A page of somebody who is logged in.
pub(crate) fn page(title: &str, place: Place, seat: &Seat, inside: Html) -> String {
    let item = |one: Place| {
        let current = if one == place { "page" } else { "false" };
        element("a", &[("href", one.path()), ("aria-current", current)], one.name())
    };
    let role = if seat.principal.operator { "operator" } else { "own statements only" };
    let who = [
        link("/docs", "Documents"),
        classed("span", "login", seat.principal.login.as_str()),
        classed("span", "role", role),
        form("/ui/logout", seat, [button("quiet", "Log out")]),
    ];
    let header = classed(
        "header",
        "bar",
        [
            element("a", &[("href", "/ui"), ("class", "brand")], "Querygate"),
            element("nav", &[("aria-label", "Pages")], Place::ALL.into_iter().map(item).collect::<Html>()),
            classed("div", "who", who),
        ],
    );
    let body = element("body", &[], [header, element("main", &[], inside)]);
    document(element("html", &[("lang", "en")], [head(title), body]))
}

/// A page of somebody who is not.
pub(crate) fn bare(title: &str, inside: Html) -> String {
    let main = element("main", &[("class", "bare")], inside);
    document(element("html", &[("lang", "en")], [head(title), element("body", &[], main)]))
}

/// A page that is open to all, with its own header.
pub(crate) fn bare_with(title: &str, header: Html, inside: Html) -> String {
    let body = element("body", &[], [header, element("main", &[], inside)]);
    document(element("html", &[("lang", "en")], [head(title), body]))
}

/// A form that changes something: carries the session's form token.
pub(crate) fn form(action: &'static str, seat: &Seat, inside: impl Into<Html>) -> Html {
    let token = void("input", &[("type", "hidden"), ("name", "token"), ("value", &seat.form_token)]);
    element("form", &[("method", "post"), ("action", action)], [token, inside.into()])
}

/// A value that a form carries along.
pub(crate) fn hidden(name: &'static str, value: &str) -> Html {
    void("input", &[("type", "hidden"), ("name", name), ("value", value)])
}

pub(crate) fn button(class: &str, name: &str) -> Html {
    element("button", &[("type", "submit"), ("class", class)], name)
}

/// A heading with what the page is about.
pub(crate) fn heading(title: &str, about: &str) -> Html {
    [element("h1", &[], title), classed("p", "about", about)].into()
}

/// A part of a page.
pub(crate) fn section(title: &str, note: &str, inside: impl Into<Html>) -> Html {
    let note = if note.is_empty() { Html::default() } else { classed("p", "note", note) };
    classed("section", "card", [element("h2", &[], title), note, inside.into()])
}

/// A figure: what, how much, and a remark.
pub(crate) fn tile(name: &str, value: &str, remark: &str) -> Html {
    classed(
        "div",
        "tile",
        [classed("span", "name", name), classed("span", "value", value), classed("span", "remark", remark)],
    )
}

pub(crate) fn tiles(inside: impl Into<Html>) -> Html {
    classed("div", "tiles", inside)
}

/// A word in a coloured frame.
pub(crate) fn badge(class: &'static str, word: &str) -> Html {
    classed("span", &format!("badge {class}"), word)
}

/// Colours and what they stand for.
pub(crate) fn legend(entries: &[(&'static str, &str)]) -> Html {
    let entry = |(class, name): &(&'static str, &str)| {
        classed("span", "entry", [classed("span", &format!("swatch {class}"), ""), Html::from(*name)])
    };
    classed("div", "legend", entries.iter().map(entry).collect::<Html>())
}

/// Said instead of an empty table.
pub(crate) fn nothing(what: &str) -> Html {
    classed("p", "nothing", what)
}

/// A column of a table: its title, and whether it holds numbers.
pub(crate) type Columns<'a> = &'a [(&'a str, bool)];

/// A table; cells come finished.
pub(crate) fn table(columns: Columns<'_>, rows: Vec<Vec<Html>>) -> Html {
    let class = |number: bool| if number { "number" } else { "text" };
    let head =
        columns.iter().map(|(title, number)| element("th", &[("class", class(*number)), ("scope", "col")], *title));
    // On a narrow screen a row is a list, and each cell says its column.
    let cell = |(inside, (title, number)): (Html, &(&str, bool))| {
        element("td", &[("class", class(*number)), ("data-column", title)], classed("div", "cell", inside))
    };
    let row = |cells: Vec<Html>| element("tr", &[], cells.into_iter().zip(columns).map(cell).collect::<Html>());
    let body = element("tbody", &[], rows.into_iter().map(row).collect::<Html>());
    let head = element("thead", &[], element("tr", &[], head.collect::<Html>()));
    classed("div", "scroll", element("table", &[], [head, body]))
}

/// SQL in one line, and whole as a tooltip.
pub(crate) fn sql_line(text: &str, href: Option<&str>) -> Html {
    let short: String = closed_up(text).chars().take(400).collect();
    let code = element("code", &[("class", "sql"), ("title", &short)], short.as_str());
    href.map_or(code.clone(), |href| link(href, code))
}
