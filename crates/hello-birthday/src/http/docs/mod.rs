//! What can be asked of the service, in the words that people read? The OpenAPI document as a page that needs
//! nothing but itself.

mod document;
mod schema;
mod text;
mod curl;

use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Error, Value};

use super::html;
use super::openapi::OPENAPI;
use curl::FORM;
use document::{Answer, Document, Header, Operation, Parameter, Place, Tag};
use schema::Schema;
use text::Piece;

/// The page; a test reads it, so that no request finds it empty.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page(OPENAPI).unwrap_or_default().into());

/// `GET /docs`: the page.
pub(super) async fn show() -> Response<Body> {
    html::sent(StatusCode::OK, PAGE.clone())
}

fn page(document: &str) -> Result<String, Error> {
    let docs = Docs::of(Document::read(document)?);
    docs.render().map_err(serde::ser::Error::custom)
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    info: document::Info,
    groups: Vec<Group>,
    scopes: Vec<Scope>,
    /// The headers of every answer.
    headers: Vec<(String, Header)>,
    /// The refusals of every operation.
    of_all: Vec<Refusal>,
    /// Those of some.
    refusals: Vec<Refusal>,
    /// What every refusal looks like.
    problem: Option<Schema>,
    /// What is neither an object nor a list, and has a name.
    values: Vec<(String, Schema)>,
}

/// The operations that have a tag in common.
struct Group {
    tag: Tag,
    sections: Vec<Section>,
}

/// One operation.
struct Section {
    id: String,
    method: &'static str,
    path: String,
    scope: Option<String>,
    parameters: Vec<Parameter>,
    curl: String,
    operation: Operation,
}

/// A scope, and the places in the page of what it allows.
struct Scope {
    name: String,
    allows: Vec<Link>,
}

/// An operation, as the contents name it.
struct Link {
    id: String,
    method: &'static str,
    path: String,
}

/// One way to be refused, however many operations have it.
struct Refusal {
    id: String,
    status: u16,
    answer: Answer,
}

impl Docs {
    fn of(document: Document) -> Self {
        let Document { info, tags, paths, components } = document;
        let sections: Vec<_> =
            paths.into_iter().flat_map(|(path, item)| Section::all_of(&path, item)).collect();
        let by_all = |refusal: &Refusal| sections.iter().all(|section| section.refuses(refusal));
        let (of_all, refusals): (Vec<_>, Vec<_>) = Refusal::all_of(&sections).into_iter().partition(by_all);
        let mut media = of_all.iter().flat_map(|refusal| &refusal.answer.content);
        let problem = media.find(|(kind, _)| kind == PROBLEM).map(|(_, media)| media.schema.clone());
        Self {
            info,
            scopes: Scope::all_of(&sections),
            headers: headers_of_all(&sections),
            of_all,
            refusals,
            problem,
            values: components.schemas.into_iter().filter(|(_, schema)| schema.is_plain()).collect(),
            groups: Group::all_of(tags, sections),
        }
    }

    /// What an operation refuses with beside what all do.
    fn refusals_of(&self, section: &Section) -> Vec<&Refusal> {
        self.refusals.iter().filter(|refusal| section.refuses(refusal)).collect()
    }

    /// The headers that an answer has beside those of every answer.
    fn headers_of<'a>(&self, answer: &'a Answer) -> Vec<&'a (String, Header)> {
        answer.headers.iter().filter(|header| !self.headers.contains(header)).collect()
    }
}

impl Group {
    fn all_of(tags: Vec<Tag>, mut sections: Vec<Section>) -> Vec<Self> {
        let group = |tag: Tag| {
            let here = sections.extract_if(.., |section| section.operation.tags[0] == tag.name).collect();
            Self { tag, sections: here }
        };
        tags.into_iter().map(group).collect()
    }
}

impl Section {
    fn all_of(path: &str, item: document::Path) -> Vec<Self> {
        let document::Path { parameters, get, put, post, delete } = item;
        let methods = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete)];
        let there = methods.into_iter().filter_map(|(method, operation)| Some((method, operation?)));
        there.map(|(method, operation)| Self::of(method, path, &parameters, operation)).collect()
    }

    fn of(method: &'static str, path: &str, of_path: &[Parameter], operation: Operation) -> Self {
        let parameters: Vec<_> = of_path.iter().chain(&operation.parameters).cloned().collect();
        let scope = operation.security.iter().flat_map(|way| way.values().flatten()).next().cloned();
        let curl = curl_line(method, path, &parameters, &operation);
        Self { id: id_of(method, path), method, path: path.to_owned(), scope, parameters, curl, operation }
    }

    fn link(&self) -> Link {
        Link { id: self.id.clone(), method: self.method, path: self.path.clone() }
    }

    fn successes(&self) -> impl Iterator<Item = &(u16, Answer)> {
        self.operation.responses.iter().filter(|(status, _)| *status < REFUSALS_FROM)
    }

    fn refuses(&self, refusal: &Refusal) -> bool {
        self.operation.responses.iter().any(|(status, answer)| refusal.is(*status, answer))
    }
}

impl Scope {
    fn all_of(sections: &[Section]) -> Vec<Self> {
        let mut scopes = Vec::<Self>::new();
        for section in sections {
            let Some(name) = &section.scope else { continue };
            match scopes.iter_mut().find(|scope| scope.name == *name) {
                Some(scope) => scope.allows.push(section.link()),
                None => scopes.push(Self { name: name.clone(), allows: vec![section.link()] }),
            }
        }
        scopes
    }
}

/// The media type of what programs are refused with.
const PROBLEM: &str = "application/problem+json";

/// The statuses of refusals are this one and above.
const REFUSALS_FROM: u16 = 400;

impl Refusal {
    fn all_of(sections: &[Section]) -> Vec<Self> {
        let mut refusals = Vec::<Self>::new();
        for (status, answer) in sections.iter().flat_map(|section| &section.operation.responses) {
            if *status < REFUSALS_FROM || refusals.iter().any(|refusal| refusal.is(*status, answer)) {
                continue;
            }
            let before = refusals.iter().filter(|refusal| refusal.status == *status).count();
            let id = format!("refused-{status}-{}", before + 1);
            refusals.push(Self { id, status: *status, answer: answer.clone() });
        }
        refusals.sort_by_key(|refusal| refusal.status);
        refusals
    }

    fn is(&self, status: u16, answer: &Answer) -> bool {
        self.status == status && self.answer == *answer
    }
}

fn headers_of_all(sections: &[Section]) -> Vec<(String, Header)> {
    let mut answers =
        sections.iter().flat_map(|section| &section.operation.responses).map(|(_, answer)| answer);
    let mut headers = answers.next().map(|first| first.headers.clone()).unwrap_or_default();
    for answer in answers {
        headers.retain(|header| answer.headers.contains(header));
    }
    headers
}

/// What stands behind `#`: `put-hello-username`.
fn id_of(method: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = std::iter::once(method).chain(words).map(str::to_ascii_lowercase).collect();
    words.join("-")
}

fn curl_line(method: &str, path: &str, parameters: &[Parameter], operation: &Operation) -> String {
    let mut path = path.to_owned();
    for parameter in parameters.iter().filter(|parameter| parameter.r#in == Place::Path) {
        path = curl::path_with(&path, &parameter.name, parameter.example.as_ref().unwrap_or(&Value::Null));
    }
    let line = curl::Line::new(method, &path);
    let line = if operation.security.is_empty() { line } else { line.with_token() };
    let body = operation.body.iter().flat_map(|body| &body.content).next();
    let example = body.and_then(|(kind, media)| Some((kind, media.examples().next()?)));
    match example {
        Some((kind, value)) => line.with_body(kind, value).finish(),
        None => line.finish(),
    }
}

/// A status with its words: `204 No Content`.
fn status_line(status: &u16) -> String {
    StatusCode::from_u16(*status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

/// A value as it is sent: JSON indented, a form in its line, other texts as they are.
fn shown(kind: &str, value: &Value) -> String {
    match (kind, value.as_str()) {
        (FORM, _) => serde_urlencoded::to_string(value).unwrap_or_default(),
        (_, Some(text)) if !kind.ends_with("json") => text.trim_end().to_owned(),
        (_, _) => format!("{value:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_be_made_of_the_document() {
        let page = page(OPENAPI).unwrap();
        assert!(page.ends_with("</html>"), "{page}");
        assert!(!page.contains("<code></code>"), "{page}");
    }

    #[test]
    fn what_the_document_says_is_shown_and_never_taken_for_tags() {
        for key in ["title", "summary", "description", "pattern", "dateOfBirth", "const"] {
            let before = format!("\"{key}\": \"");
            let document = OPENAPI.replace(&before, &format!("{before}<b>`<b>`&amp;"));
            assert_ne!(document, OPENAPI, "{key}");
            let page = page(&document).unwrap();
            assert!(!page.contains("<b>"), "{key}");
            assert!(page.contains("&#60;b&#62;") && page.contains("&#38;amp;"), "{key}");
        }
    }

    #[test]
    fn an_example_is_shown_as_it_is_sent() {
        let value = serde_json::json!({ "username": "José", "born": 1 });
        assert_eq!(shown("application/json", &value), "{\n  \"username\": \"José\",\n  \"born\": 1\n}");
        assert_eq!(shown(FORM, &value), "username=Jos%C3%A9&born=1");
        assert_eq!(shown("text/plain", &"Hello\n".into()), "Hello");
        assert_eq!(shown("application/json", &"Hello".into()), "\"Hello\"");
    }

    #[test]
    fn a_rule_that_the_page_would_hide_is_refused() {
        let document = OPENAPI.replace("\"minLength\": 1", "\"multipleOf\": 2");
        assert_ne!(document, OPENAPI);
        assert!(page(&document).is_err());
    }
}
