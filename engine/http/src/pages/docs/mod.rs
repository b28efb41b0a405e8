//! `/docs`: the documents of the project, which are in the binary, with a search. Open to all: they say nothing of this gate.

mod book;
mod render;
mod search;

use super::html::{Html, classed, element, link, void};
use super::layout::{bare_with, button};
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use book::Page;
use std::collections::HashMap;

/// The page that lists the others.
const FIRST: &str = "engine/docs/README.md";

/// `GET /docs`, with `?q=` the search.
pub(super) async fn first(Query(parameters): Query<HashMap<String, String>>) -> Response {
    match parameters.get("q").filter(|words| !words.trim().is_empty()) {
        Some(words) => shown(StatusCode::OK, "Search", words, found(words)),
        None => of_page(book::page(FIRST)),
    }
}

/// `GET /docs/…`: a page by its place without `.md`, or a picture.
pub(super) async fn other(Path(path): Path<String>) -> Response {
    if let Some((kind, bytes)) = book::picture(&path) {
        let cached = (header::CACHE_CONTROL, "public, max-age=3600");
        return ([(header::CONTENT_TYPE, kind), cached], Bytes::from_static(bytes)).into_response();
    }
    // As files are called in a clone.
    if let Some(name) = path.strip_suffix(".md").filter(|name| book::at(name).is_some()) {
        return Redirect::permanent(&format!("/docs/{name}")).into_response();
    }
    of_page(book::at(&path))
}

fn of_page(page: Option<Page>) -> Response {
    match page {
        Some(page) => shown(StatusCode::OK, &page.title(), "", classed("article", "document", render::rendered(&page))),
        None => shown(
            StatusCode::NOT_FOUND,
            "No such page",
            "",
            element("p", &[], "There is no such page. Look for it above."),
        ),
    }
}

fn found(words: &str) -> Html {
    let hits = search::search(words);
    if hits.is_empty() {
        return element("p", &[], format!("No page has all of these words: {words}"));
    }
    let hit = |hit: search::Hit| {
        let about = classed("p", "note", hit.excerpt);
        let name = if hit.heading == hit.title { hit.title } else { format!("{} · {}", hit.title, hit.heading) };
        element("li", &[], [link(&hit.address, name), about])
    };
    [element("h1", &[], "Search"), classed("ol", "hits", hits.into_iter().map(hit).collect::<Html>())].into()
}

fn shown(status: StatusCode, title: &str, words: &str, inside: Html) -> Response {
    let field = [
        ("type", "search"),
        ("name", "q"),
        ("value", words),
        ("placeholder", "Search the documents"),
        ("aria-label", "Search"),
    ];
    let controls = [void("input", &field), button("quiet", "Search")];
    let form = element("form", &[("method", "get"), ("action", "/docs"), ("role", "search")], controls);
    let header = classed(
        "header",
        "bar",
        [
            element("a", &[("href", "/docs"), ("class", "brand")], "Querygate documents"),
            form,
            classed("div", "who", link("/ui", "The gate's pages")),
        ],
    );
    let cached = (header::CACHE_CONTROL, "public, max-age=300");
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    (status, [kind, cached], bare_with(title, header, inside)).into_response()
}
