//! Which line asks for that with curl? One that works as it stands, on the machine where the service runs.

use serde_json::Value;

use super::schema::plain;
use crate::http::parameters::encoded;

/// Where the service listens unless it is told otherwise. The `Host` of a request would be nearer the truth, but what
/// strangers send doesn't belong into a line that people paste into a shell.
const SERVICE: &str = "http://127.0.0.1:8080";

/// The media type of what a page's form sends.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Between the arguments, so that each stands in a line of its own.
const AND: &str = " \\\n  ";

/// A line for a shell, made up argument by argument.
pub(super) struct Line(String);

impl Line {
    /// That method of that path, whose answer is shown with its head.
    pub(super) fn new(method: &str, path: &str) -> Self {
        let method = if method == "GET" { String::new() } else { format!(" -X {method}") };
        Self(format!("curl -i{method} {}", quoted(&format!("{SERVICE}{path}"))))
    }

    /// With a token, which is nothing where the service doesn't ask for one.
    pub(super) fn with_token(self) -> Self {
        Self(self.0 + AND + r#"-H "Authorization: Bearer $TOKEN""#)
    }

    /// With that value as the body, as that media type has it.
    pub(super) fn with_body(self, media_type: &str, value: &Value) -> Self {
        match (media_type, value) {
            (FORM, Value::Object(fields)) => {
                let field = |(name, value)| {
                    format!("{AND}--data-urlencode {}", quoted(&format!("{name}={}", plain(value))))
                };
                Self(self.0 + &fields.iter().map(field).collect::<String>())
            }
            _ => {
                let header = quoted(&format!("Content-Type: {media_type}"));
                Self(self.0 + &format!("{AND}-H {header}{AND}-d {}", quoted(&plain(value))))
            }
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A path with a value for what varies in it.
pub(super) fn path_with(path: &str, name: &str, value: &Value) -> String {
    path.replace(&format!("{{{name}}}"), &encoded(&plain(value)).to_string())
}

/// Between single quotes, where a shell reads nothing, unless there is nothing for it to read.
fn quoted(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:%".contains(&byte));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_shell_reads_what_is_quoted_as_one_word() {
        for text in
            ["", "a b", "it's", "'", "'; echo b; '", "$HOME `id` \\ \" * ?a=b&c !!", "{\"ä\": 1}\n", "a.b/c"]
        {
            let script = format!("printf %s {}", quoted(text));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_line_has_the_method_the_token_and_the_body() {
        assert_eq!(Line::new("GET", "/").finish(), "curl -i http://127.0.0.1:8080/");
        let line = Line::new("PUT", &path_with("/hello/{username}", "username", &json!("José")));
        let line = line.with_token().with_body("application/json", &json!({"a": "it's"})).finish();
        assert_eq!(
            line,
            r#"curl -i -X PUT http://127.0.0.1:8080/hello/Jos%C3%A9 \
  -H "Authorization: Bearer $TOKEN" \
  -H 'Content-Type: application/json' \
  -d '{"a":"it'\''s"}'"#
        );
        let form =
            Line::new("POST", "/").with_body("application/x-www-form-urlencoded", &json!({"a": "b c"}));
        assert_eq!(form.finish(), "curl -i -X POST http://127.0.0.1:8080/ \\\n  --data-urlencode 'a=b c'");
    }
}
