//! Who may do what: scopes, the tokens that stand for them, and what lists the tokens.

mod scope;
mod token;
mod tokens;
mod file;
mod source;

pub use file::{BadFile, TokensFile, TokensInForce};
pub use scope::{Scope, Scopes, UnknownScope};
pub use source::Source;
pub use token::{Fingerprint, NotHexadecimal, Token, TokenId};
pub use tokens::{BadLine, Grant, InvalidLabel, Label, NotADay, Tokens, Wrong, parse_day};
