//! Who may do what: scopes, the tokens that stand for them, and the file that lists the tokens.

mod scope;
mod token;
mod tokens;
mod file;

pub use file::{BadFile, TokensFile, TokensInForce};
pub use scope::{Scope, Scopes, UnknownScope};
pub use token::{Fingerprint, NotHexadecimal, Token, TokenId};
pub use tokens::{BadLine, Grant, InvalidLabel, Label, NotADay, Tokens, Wrong, parse_day};
