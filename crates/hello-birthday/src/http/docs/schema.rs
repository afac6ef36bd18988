//! What must a value be? A JSON Schema in words, and the keys of an object as the rows of a table.

use serde::Deserialize;
use serde_json::{Number, Value};

use super::document::in_order;
use super::text::{Line, Piece, Text};

/// A JSON Schema, of which nothing may be left out: a keyword that isn't here is a rule that the page would
/// hide.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Schema {
    /// Where it stands, if it was named from elsewhere.
    #[serde(rename = "$ref")]
    reference: Option<String>,
    r#type: Option<Types>,
    pub(super) description: Text,
    #[serde(deserialize_with = "in_order")]
    properties: Vec<(String, Self)>,
    required: Vec<String>,
    items: Option<Box<Self>>,
    #[serde(alias = "oneOf")]
    any_of: Vec<Self>,
    #[serde(rename = "enum")]
    one_of_these: Vec<Value>,
    #[serde(rename = "const")]
    exactly: Option<Value>,
    format: Option<String>,
    pattern: Option<String>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<Number>,
    maximum: Option<Number>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    /// Zero, where nothing may stand in an object.
    max_properties: Option<u64>,
    default: Option<Value>,
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Types {
    One(Type),
    Several(Vec<Type>),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
    Object,
    Array,
    Null,
}

/// One key of an object.
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) required: bool,
    pub(super) schema: &'a Schema,
}

impl Schema {
    /// The keys of the object that this is, or of the objects in the list that this is.
    pub(super) fn keys(&self) -> Vec<Key<'_>> {
        let of_items = self.items.iter().flat_map(|items| items.keys());
        let own = self.properties.iter().map(|(name, schema)| Key {
            name,
            required: self.required.contains(name),
            schema,
        });
        own.chain(of_items).collect()
    }

    /// The name of a value whose rules are told once for all; objects are shown wherever they stand.
    pub(super) fn name(&self) -> Option<&str> {
        if let Some(name) = self.any_of.iter().find_map(Self::name) {
            return Some(name);
        }
        let name = self.reference.as_deref()?.rsplit('/').next();
        name.filter(|_| self.is_plain())
    }

    /// Whether it has no keys.
    pub(super) fn is_plain(&self) -> bool {
        self.keys().is_empty()
    }

    /// `string`, `integer or null`, `list of objects`.
    pub(super) fn kind(&self) -> String {
        let types = match &self.r#type {
            Some(Types::One(one)) => std::slice::from_ref(one),
            Some(Types::Several(several)) => several,
            None => &[],
        };
        let mut kinds: Vec<_> = types.iter().map(|one| self.kind_of(*one)).collect();
        for kind in self.any_of.iter().map(Self::kind) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(" or ")
    }

    fn kind_of(&self, one: Type) -> String {
        let name = match one {
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "true or false",
            Type::Object => "object",
            Type::Array => match &self.items {
                Some(items) => return format!("list of {}s", items.kind()),
                None => "list",
            },
            Type::Null => "null",
        };
        name.to_owned()
    }

    /// What its type doesn't say, and is not told elsewhere.
    pub(super) fn rules(&self) -> Vec<Line> {
        if self.name().is_some() {
            return Vec::new();
        }
        let mut rules: Vec<_> = self.any_of.iter().flat_map(Self::rules).collect();
        let coded = |before: &str, code: String| Line(vec![words(before), Piece::Code(code)]);
        rules.extend(between("", self.minimum.as_ref(), self.maximum.as_ref()));
        rules.extend(between("length ", self.min_length.as_ref(), self.max_length.as_ref()));
        rules.extend(between("items: ", self.min_items.as_ref(), self.max_items.as_ref()));
        rules.extend(between("keys: ", None, self.max_properties.as_ref()));
        rules.extend(self.format.clone().map(|format| coded("format ", format)));
        rules.extend(self.pattern.clone().map(|pattern| coded("pattern ", pattern)));
        rules.extend(self.exactly.iter().map(|value| coded("always ", plain(value))));
        rules.extend(self.one_of());
        rules.extend(self.default.iter().map(|value| coded("if it is left out: ", plain(value))));
        rules
    }

    fn one_of(&self) -> Option<Line> {
        let mut pieces = Vec::new();
        for (index, value) in self.one_of_these.iter().enumerate() {
            pieces.extend((0 < index).then(|| words(" or ")));
            pieces.push(Piece::Code(plain(value)));
        }
        (!self.one_of_these.is_empty()).then_some(Line(pieces))
    }
}

/// A value as it stands in a URL or a sentence: a text without its quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn words(text: &str) -> Piece {
    Piece::Words(text.into())
}

fn between<T: ToString>(what: &str, least: Option<&T>, most: Option<&T>) -> Option<Line> {
    let text = match (least.map(T::to_string), most.map(T::to_string)) {
        (None, None) => return None,
        (Some(least), None) => format!("{what}at least {least}"),
        (None, Some(most)) => format!("{what}at most {most}"),
        (Some(least), Some(most)) => format!("{what}{least} to {most}"),
    };
    Some(Line(vec![words(&text)]))
}
