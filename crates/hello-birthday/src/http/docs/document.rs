//! What does the OpenAPI document say, as far as the page shows it? What a `$ref` names stands in its place.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Error, Map, Value};

use super::schema::Schema;
use super::text::Text;

/// The whole document.
#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) info: Info,
    pub(super) tags: Vec<Tag>,
    #[serde(deserialize_with = "in_order")]
    pub(super) paths: Vec<(String, Path)>,
    pub(super) components: Components,
}

#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) title: String,
    pub(super) summary: Text,
    pub(super) version: String,
    pub(super) description: Text,
}

/// What stands there once and is named elsewhere.
#[derive(Deserialize)]
pub(super) struct Components {
    #[serde(deserialize_with = "in_order")]
    pub(super) schemas: Vec<(String, Schema)>,
}

/// What operations have in common.
#[derive(Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Text,
}

/// One path, with its methods.
#[derive(Deserialize)]
pub(super) struct Path {
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    pub(super) get: Option<Operation>,
    pub(super) put: Option<Operation>,
    pub(super) post: Option<Operation>,
    pub(super) delete: Option<Operation>,
}

/// One method of one path.
#[derive(Deserialize)]
pub(super) struct Operation {
    pub(super) tags: [String; 1],
    pub(super) summary: String,
    #[serde(default)]
    pub(super) description: Text,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    #[serde(rename = "requestBody")]
    pub(super) body: Option<Body>,
    #[serde(deserialize_with = "in_order")]
    pub(super) responses: Vec<(u16, Answer)>,
    /// Ways to show a token, each with the scopes that it needs; there is none where anybody is let in.
    #[serde(default)]
    pub(super) security: Vec<HashMap<String, Vec<String>>>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) r#in: Place,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) description: Text,
    pub(super) schema: Schema,
    pub(super) example: Option<Value>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

#[derive(Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    pub(super) description: Text,
    #[serde(deserialize_with = "in_order")]
    pub(super) content: Vec<(String, Media)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        })
    }
}

/// What is answered with one status.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Answer {
    pub(super) description: Text,
    #[serde(default, deserialize_with = "in_order")]
    pub(super) headers: Vec<(String, Header)>,
    #[serde(default, deserialize_with = "in_order")]
    pub(super) content: Vec<(String, Media)>,
}

#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Header {
    #[serde(default)]
    pub(super) description: Text,
}

/// What a body of one media type looks like.
#[derive(Clone, PartialEq, Deserialize)]
pub(super) struct Media {
    pub(super) schema: Schema,
    example: Option<Value>,
    #[serde(default, deserialize_with = "in_order")]
    examples: Vec<(String, Example)>,
}

#[derive(Clone, PartialEq, Deserialize)]
struct Example {
    value: Value,
}

impl Document {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let document: Value = serde_json::from_str(text)?;
        Self::deserialize(inlined(&document, &document, REFERENCES_WITHIN)?)
    }
}

impl Media {
    /// The values that it may have.
    pub(super) fn examples(&self) -> impl Iterator<Item = &Value> {
        self.example.iter().chain(self.examples.iter().map(|(_, example)| &example.value))
    }
}

/// How deep things may stand in each other; a `$ref` to what it stands in would never end.
const REFERENCES_WITHIN: u8 = 64;

/// The value with what a `$ref` names beside it. Keys that stood there already win; lists, such as that of the keys
/// which are required, are joined.
fn inlined(value: &Value, document: &Value, within: u8) -> Result<Value, Error> {
    let within = within.checked_sub(1).ok_or_else(|| Error::custom("a $ref leads to itself"))?;
    let inlined = |value| inlined(value, document, within);
    match value {
        Value::Object(object) => {
            let mut whole = named(object, document)?.map_or(Ok(Value::Null), inlined)?;
            let mut whole = whole.as_object_mut().map(mem::take).unwrap_or_default();
            for (key, value) in object {
                match (whole.get_mut(key), inlined(value)?) {
                    (Some(Value::Array(named)), Value::Array(own)) => named.extend(own),
                    (_, own) => _ = whole.insert(key.clone(), own),
                }
            }
            Ok(Value::Object(whole))
        }
        Value::Array(values) => values.iter().map(inlined).collect::<Result<_, _>>().map(Value::Array),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
    }
}

fn named<'a>(object: &Map<String, Value>, document: &'a Value) -> Result<Option<&'a Value>, Error> {
    let Some(reference) = object.get("$ref") else { return Ok(None) };
    let found = reference.as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    found.map(Some).ok_or_else(|| Error::custom(format!("{reference} leads nowhere")))
}

/// An object whose keys stay in the order of the document.
pub(super) fn in_order<'de, D, K, V>(from: D) -> Result<Vec<(K, V)>, D::Error>
where
    D: Deserializer<'de>,
    K: FromStr<Err: fmt::Display>,
    V: Deserialize<'de>,
{
    let entry = |(key, value): (String, Value)| {
        let key = key.parse().map_err(D::Error::custom)?;
        Ok((key, V::deserialize(value).map_err(D::Error::custom)?))
    };
    Map::deserialize(from)?.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Value, Error> {
        inlined(&value, &value, REFERENCES_WITHIN)
    }

    #[test]
    fn what_a_reference_names_stands_beside_it() {
        let whole = read(json!({
            "a": { "$ref": "#/b/c", "required": ["y"], "title": "own" },
            "b": { "c": { "required": ["x"], "title": "named", "minimum": 1 } }
        }));
        let a = &whole.unwrap()["a"];
        assert_eq!(a, &json!({ "$ref": "#/b/c", "required": ["x", "y"], "title": "own", "minimum": 1 }));
    }

    #[test]
    fn a_reference_that_leads_nowhere_or_to_itself_is_refused() {
        assert!(read(json!({ "a": { "$ref": "#/b" } })).is_err());
        assert!(read(json!({ "a": { "$ref": "other.json#/b" }, "b": {} })).is_err());
        assert!(read(json!({ "a": { "b": { "$ref": "#/a" } } })).is_err());
    }
}
