//! The documents by their places in the repository. Knows no HTML.

use include_dir::{Dir, include_dir};

static DOCUMENTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../docs");

/// Where the folder above is in the repository.
const FOLDER: &str = "engine/docs/";

/// Pages that lie elsewhere, with their addresses below `/docs/`.
const OTHERS: [(&str, &str, &str); 3] = [
    ("README.md", "readme", include_str!("../../../../../README.md")),
    ("ARCHITECTURE.md", "architecture", include_str!("../../../../../ARCHITECTURE.md")),
    ("CHANGELOG.md", "changelog", include_str!("../../../../../CHANGELOG.md")),
];

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// In the repository.
    pub(super) place: String,
    pub(super) text: &'static str,
}

impl Page {
    /// Its first heading.
    pub(super) fn title(&self) -> String {
        let heading = self.text.lines().find_map(|line| line.strip_prefix("# "));
        heading.unwrap_or(&self.place).replace('`', "")
    }
}

/// All documents, in the order of their places.
pub(super) fn pages() -> Vec<Page> {
    let mut places: Vec<&'static str> = files(&DOCUMENTS).into_iter().filter(|place| place.ends_with(".md")).collect();
    places.sort_unstable();
    let own = places.into_iter().filter_map(of_folder);
    own.chain(OTHERS.iter().map(|(place, _, text)| Page { place: (*place).to_owned(), text })).collect()
}

fn files(folder: &'static Dir<'static>) -> Vec<&'static str> {
    let own = folder.files().filter_map(|file| file.path().to_str());
    own.chain(folder.dirs().flat_map(files)).collect()
}

/// A document by its path below the folder.
fn of_folder(path: &str) -> Option<Page> {
    let file = DOCUMENTS.get_file(path)?;
    Some(Page { place: format!("{FOLDER}{path}"), text: file.contents_utf8()? })
}

/// The document at a place of the repository.
pub(super) fn page(place: &str) -> Option<Page> {
    let other = OTHERS.iter().find(|(own, ..)| *own == place);
    let other = other.map(|(_, _, text)| Page { place: place.to_owned(), text });
    other.or_else(|| of_folder(place.strip_prefix(FOLDER)?))
}

/// The document at an address below `/docs/`.
pub(super) fn at(address: &str) -> Option<Page> {
    let other = OTHERS.iter().find(|(_, own, _)| *own == address);
    let other = other.map(|(place, _, text)| Page { place: (*place).to_owned(), text });
    other.or_else(|| of_folder(&format!("{address}.md")))
}

/// A picture by its path below the folder, with its media type.
pub(super) fn picture(path: &str) -> Option<(&'static str, &'static [u8])> {
    let kind = match path.rsplit_once('.')?.1 {
        "png" => "image/png",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    Some((kind, DOCUMENTS.get_file(path)?.contents()))
}

/// The address of what a page links to, as `../limits.md#rows`; `None`: it is not served here.
pub(super) fn address(page: &Page, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
    if path.is_empty() {
        return Some(anchor);
    }
    let place = joined(&page.place, path)?;
    if let Some((_, own, _)) = OTHERS.iter().find(|(other, ..)| *other == place) {
        return Some(format!("/docs/{own}{anchor}"));
    }
    let below = place.strip_prefix(FOLDER)?;
    DOCUMENTS.get_file(below)?;
    Some(format!("/docs/{}{anchor}", below.strip_suffix(".md").unwrap_or(below)))
}

/// A page's address.
pub(super) fn own_address(page: &Page) -> String {
    let other = OTHERS.iter().find(|(place, ..)| *place == page.place).map(|(_, address, _)| *address);
    let below = || page.place.strip_prefix(FOLDER)?.strip_suffix(".md");
    format!("/docs/{}", other.or_else(below).unwrap_or_default())
}

/// A path beside a file; `None` of one that leaves the repository.
fn joined(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_the_documents() {
        let analyst = at("paths/analyst").unwrap();
        assert_eq!(address(&analyst, "../limits.md#rows").as_deref(), Some("/docs/limits#rows"));
        assert_eq!(address(&analyst, "#own").as_deref(), Some("#own"));
        assert_eq!(address(&analyst, "pieces.png").as_deref(), Some("/docs/paths/pieces.png"));
        assert_eq!(address(&page("README.md").unwrap(), "engine/docs/guide.md").as_deref(), Some("/docs/guide"));
        for outside in ["../../Cargo.toml", "../../../../etc/passwd", "absent.md"] {
            assert_eq!(address(&analyst, outside), None, "{outside}");
        }
    }

    #[test]
    fn pages_and_pictures_have_addresses() {
        for page in pages() {
            let address = own_address(&page);
            assert_eq!(
                at(address.strip_prefix("/docs/").unwrap()).map(|found| found.text),
                Some(page.text),
                "{address}"
            );
            assert!(!page.title().is_empty());
        }
        assert_eq!(picture("user.svg").map(|(kind, _)| kind), Some("image/svg+xml"));
        assert!(picture("../Cargo.toml").is_none() && picture("guide.md").is_none());
    }
}
